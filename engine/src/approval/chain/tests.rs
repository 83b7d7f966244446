use super::*;

fn entry(number: u128) -> Entry {
    Entry {
        id: Uuid::from_u128(number),
        organization: Uuid::from_u128(9),
        run: Some(Uuid::from_u128(7)),
        idx: None,
        item: None,
        gate: None,
        what: "approve".to_owned(),
        actor: Some(Uuid::from_u128(1)),
        actor_email: Some("eve@example.com".to_owned()),
        stands_in_for: None,
        way: "rest".to_owned(),
        plan_hash: Some(Hash::of(b"plan").to_string()),
        stage: Some("approval".to_owned()),
        comment: Some("looks good".to_owned()),
        result: "approved".to_owned(),
        at: 1_700_000_000_000_000,
    }
}

/// So many sealed entries and one that is not.
fn chain(sealed: u128) -> (Vec<Line>, Head) {
    let mut head = Head::START;
    let mut lines: Vec<Line> = (1..=sealed)
        .map(|number| {
            let entry = entry(number);
            let seal = head.seal(&entry);
            head = seal.head();
            Line {
                entry,
                seal: Some(seal),
            }
        })
        .collect();
    lines.push(Line {
        entry: entry(sealed + 1),
        seal: None,
    });
    (lines, head)
}

#[test]
fn a_chain_that_nobody_touched_holds() {
    let (lines, head) = chain(5);
    let verified = Verified {
        sealed: 5,
        head,
        unsealed: 1,
    };
    assert_eq!(verify(&lines, Some(head)), Ok(verified));
    assert_eq!(verify(&[], None).unwrap().head, Head::START);
}

#[test]
fn the_hash_of_an_entry_is_fixed() {
    let seal = Head::START.seal(&entry(1));
    let text = format!(
        "{{\"actor\":\"00000000-0000-0000-0000-000000000001\",\"actor_email\":\"eve@example.com\",\"at\":\
         1700000000000000,\"comment\":\"looks good\",\"gate\":null,\"id\":\
         \"00000000-0000-0000-0000-000000000001\",\"idx\":null,\"item\":null,\"organization\":\
         \"00000000-0000-0000-0000-000000000009\",\"plan_hash\":\"{}\",\"prev\":\"{}\",\"result\":\"approved\",\
         \"run\":\"00000000-0000-0000-0000-000000000007\",\"seq\":1,\"stage\":\"approval\",\"stands_in_for\":null,\
         \"way\":\"rest\",\"what\":\"approve\"}}",
        Hash::of(b"plan"),
        "0".repeat(64),
    );
    assert_eq!(seal.hash, Hash::of(text.as_bytes()));
}

#[test]
fn any_edit_is_found_where_it_is() {
    let edits: [fn(&mut Entry); 6] = [
        |entry| entry.comment = None,
        |entry| entry.actor_email = Some("mallory@example.com".to_owned()),
        |entry| entry.result = "rejected".to_owned(),
        |entry| entry.at += 1,
        |entry| entry.what = "reject".to_owned(),
        |entry| entry.plan_hash = None,
    ];
    for edit in edits {
        let (mut lines, head) = chain(5);
        edit(&mut lines[2].entry);
        assert_eq!(verify(&lines, Some(head)), Err(Broken::Edited(3)));
    }
}

#[test]
fn an_edit_with_a_new_hash_is_found_at_the_next_entry() {
    let (mut lines, head) = chain(5);
    lines[2].entry.comment = None;
    let before = lines[1].seal.as_ref().unwrap().head();
    lines[2].seal = Some(before.seal(&lines[2].entry));
    assert_eq!(verify(&lines, Some(head)), Err(Broken::Unlinked(4)));
    lines.truncate(3);
    assert_eq!(verify(&lines, Some(head)), Err(Broken::Removed(4)));
    let said = Head { seq: 3, ..head };
    assert_eq!(verify(&lines, Some(said)), Err(Broken::OtherHead));
}

#[test]
fn a_removed_entry_is_found_wherever_it_was() {
    for at in 0..5 {
        let (mut lines, head) = chain(5);
        lines.remove(at);
        let missing = Broken::Removed(at as i64 + 1);
        assert_eq!(verify(&lines, Some(head)), Err(missing));
    }
}

#[test]
fn reordered_entries_are_found() {
    let (mut lines, head) = chain(5);
    lines.swap(1, 3);
    assert_eq!(verify(&lines, Some(head)), Err(Broken::Reordered(2)));
    let (mut lines, head) = chain(5);
    lines.swap(4, 5);
    assert_eq!(verify(&lines, Some(head)), Err(Broken::Unsealed(5)));
    let (mut lines, head) = chain(5);
    lines.insert(3, lines[1].clone());
    assert_eq!(verify(&lines, Some(head)), Err(Broken::Reordered(2)));
}

#[test]
fn a_line_survives_the_way_through_json() {
    let (lines, head) = chain(2);
    let texts = lines
        .iter()
        .map(|line| serde_json::to_string(line).unwrap());
    let read: Vec<Line> = texts
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect();
    assert_eq!(read, lines);
    assert!(verify(&read, Some(head)).is_ok());
}
