use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn audience(words: &[&str]) -> Audience {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    Audience::parse(&words).unwrap()
}

fn stage(name: &str, count: u32, words: &[&str]) -> Stage {
    Stage {
        name: name.to_owned(),
        count,
        approvers: audience(words),
    }
}

fn own(stages: &[Stage]) -> PolicySpec {
    let spec = |stage: &Stage| StageSpec {
        name: (!stage.name.is_empty()).then(|| stage.name.clone()),
        count: stage.count,
        approvers: stage.approvers.clone(),
    };
    PolicySpec {
        stages: Some(stages.iter().map(spec).collect()),
        ..PolicySpec::default()
    }
}

/// Two of the finance group within an hour, for a reason, and never their own.
fn floor() -> Policy {
    Policy {
        stages: vec![stage("money", 2, &["group:finance"])],
        distinct_from_requester: true,
        distinct_from_author: true,
        reason_required: true,
        expires_in_ms: Some(3_600_000),
        ..Policy::quorum(1)
    }
}

fn looser(spec: &PolicySpec, floor: &Policy) -> Vec<&'static str> {
    let (_, loosened) = spec.on(floor);
    loosened.iter().map(|setting| setting.0).collect()
}

#[test]
fn what_is_left_out_is_as_the_floor_has_it() {
    assert_eq!(PolicySpec::default().on(&floor()), (floor(), vec![]));
}

fn spec(change: impl FnOnce(&mut PolicySpec)) -> PolicySpec {
    let mut spec = PolicySpec::default();
    change(&mut spec);
    spec
}

fn on_floor(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut floor = floor();
    change(&mut floor);
    floor
}

#[rstest]
#[case(spec(|own| own.mode = Some(Mode::None)), floor(), &["mode"])]
#[case(spec(|own| own.distinct_from_requester = Some(false)), floor(), &["distinct_from_requester"])]
#[case(spec(|own| own.distinct_from_author = Some(false)), floor(), &["distinct_from_author"])]
#[case(spec(|own| own.distinct_approvers = Some(false)), floor(), &["distinct_approvers"])]
#[case(spec(|own| own.reason_required = Some(false)), floor(), &["reason_required"])]
#[case(spec(|own| own.standing = Some(true)), floor(), &["standing"])]
#[case::for_longer(spec(|own| own.expires_in_ms = Some(3_600_001)), floor(), &["expires_in_seconds"])]
#[case::approved_by_time(spec(|own| own.on_expiry = Some(OnExpiry::Approve)), floor(), &["on_expiry"])]
#[case::approved_sooner(
    spec(|own| own.expires_in_ms = Some(1)),
    on_floor(|floor| floor.on_expiry = OnExpiry::Approve),
    &["expires_in_seconds"]
)]
#[case::approved_ever(
    spec(|own| own.expires_in_ms = Some(1)),
    on_floor(|floor| (floor.on_expiry, floor.expires_in_ms) = (OnExpiry::Approve, None)),
    &["expires_in_seconds"]
)]
#[case::put_to_anyone(
    spec(|own| (own.on_expiry, own.expires_in_ms) = (Some(OnExpiry::Escalate), Some(1_800_000))),
    floor(),
    &["escalate_to", "expires_in_seconds"]
)]
#[case::put_to_more(
    spec(|own| own.escalate_to = Some(audience(&["group:managers", "group:ops"]))),
    on_floor(|floor| {
        (floor.on_expiry, floor.escalate_to) = (OnExpiry::Escalate, audience(&["group:managers"]));
    }),
    &["escalate_to"]
)]
#[case::put_to_others_sooner(
    spec(|own| own.expires_in_ms = Some(1)),
    on_floor(|floor| {
        (floor.on_expiry, floor.escalate_to) = (OnExpiry::Escalate, audience(&["group:managers"]));
    }),
    &["expires_in_seconds"]
)]
#[case::for_as_long_again(
    spec(|own| own.on_expiry = Some(OnExpiry::Escalate)),
    on_floor(|floor| floor.stages = vec![stage("any", 1, &[])]),
    &["on_expiry"]
)]
fn what_asks_for_less_is_listed(
    #[case] spec: PolicySpec,
    #[case] floor: Policy,
    #[case] settings: &[&str],
) {
    assert_eq!(looser(&spec, &floor), settings);
}

#[rstest]
#[case::all_it_can(
    PolicySpec {
        distinct_from_requester: Some(true),
        reason_required: Some(true),
        expires_in_ms: Some(60_000),
        remind_before_ms: Some(vec![10_000, 30_000, 10_000]),
        standing: Some(false),
        ..PolicySpec::default()
    },
    floor()
)]
#[case::half_as_long_and_then_again(
    spec(|own| (own.on_expiry, own.expires_in_ms) = (Some(OnExpiry::Escalate), Some(1_800_000))),
    on_floor(|floor| floor.stages = vec![stage("any", 1, &[])])
)]
#[case::a_no_instead_of_a_yes(
    spec(|own| (own.on_expiry, own.expires_in_ms) = (Some(OnExpiry::Reject), Some(1))),
    on_floor(|floor| floor.on_expiry = OnExpiry::Approve)
)]
#[case::of_a_floor_that_asks_nobody(
    spec(|own| {
        own.mode = Some(Mode::Required);
        own.distinct_from_requester = Some(false);
        own.on_expiry = Some(OnExpiry::Approve);
    }),
    on_floor(|floor| floor.mode = Mode::None)
)]
fn what_asks_for_more_is_not_listed(#[case] spec: PolicySpec, #[case] floor: Policy) {
    assert_eq!(looser(&spec, &floor), [""; 0]);
}

#[test]
fn reminders_are_kept_the_earliest_first() {
    let (policy, _) = spec(|own| own.remind_before_ms = Some(vec![1, 3, 2, 3])).on(&floor());
    assert_eq!(policy.remind_before_ms, [3, 2, 1]);
}

#[rstest]
#[case::none(&[], &[("money", 2, "group:finance")], &["money 2"])]
#[case::as_many_of_some(
    &[("", 3, "group:finance")],
    &[("money", 2, "group:finance group:board")],
    &["approval 3"]
)]
#[case::too_few(
    &[("mine", 1, "group:finance")],
    &[("money", 2, "group:finance")],
    &["mine 1", "money 2"]
)]
#[case::of_others(
    &[("mine", 2, "group:dev")],
    &[("money", 2, "group:finance")],
    &["mine 2", "money 2"]
)]
#[case::of_the_same_name(
    &[("money", 1, "group:dev")],
    &[("money", 2, "group:finance")],
    &["money 1", "organization: money 2"]
)]
#[case::one_for_two(
    &[("mine", 1, "")],
    &[("a", 1, ""), ("b", 1, "")],
    &["mine 1", "b 1"]
)]
#[case::each_for_the_one_it_fits(
    &[("narrow", 1, "group:finance"), ("wide", 1, "group:dev")],
    &[("any", 1, ""), ("money", 1, "group:finance")],
    &["narrow 1", "wide 1"]
)]
#[case::unnamed(
    &[("", 1, "group:dev"), ("", 1, "group:ops"), ("stage 1", 1, "group:qa")],
    &[("any", 1, "")],
    &["another stage 1 1", "stage 2 1", "stage 1 1"]
)]
#[case::nobody_is_one(&[("mine", 0, "")], &[("any", 1, "")], &["mine 1"])]
fn the_floors_stages_are_asked_too_unless_one_stands_for_each(
    #[case] mine: &[(&str, u32, &str)],
    #[case] least: &[(&str, u32, &str)],
    #[case] expected: &[&str],
) {
    let stages = |all: &[(&str, u32, &str)]| -> Vec<Stage> {
        all.iter()
            .map(|(name, count, words)| {
                stage(name, *count, &words.split_whitespace().collect::<Vec<_>>())
            })
            .collect()
    };
    let floor = Policy {
        stages: stages(least),
        ..Policy::quorum(1)
    };
    let (policy, loosened) = own(&stages(mine)).on(&floor);
    let asked = policy.stages.iter();
    let asked: Vec<String> = asked
        .map(|one| format!("{} {}", one.name, one.count))
        .collect();
    assert_eq!(asked, expected);
    assert_eq!(loosened, []);
}

fn audiences() -> impl Strategy<Value = Audience> {
    prop::sample::subsequence(vec!["group:a", "group:b", "u@example.com"], 0..3)
        .prop_map(|words| audience(&words))
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let stage = (1u32..3, audiences()).prop_map(|(count, approvers)| Stage {
        name: String::new(),
        count,
        approvers,
    });
    prop::collection::vec(stage, 1..4)
}

fn expiries() -> impl Strategy<Value = OnExpiry> {
    prop_oneof![
        Just(OnExpiry::Reject),
        Just(OnExpiry::Escalate),
        Just(OnExpiry::Approve)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Without a loosening that is listed, whatever is enough for the flow is enough for its organization.
    #[test]
    fn what_is_enough_for_a_flow_is_enough_for_its_organization(
        mine in prop::option::of(stages()),
        least in stages(),
    ) {
        let floor = Policy { stages: least, ..Policy::quorum(1) };
        let spec = mine.map_or_else(PolicySpec::default, |mine| own(&mine));
        let (policy, loosened) = spec.on(&floor);
        prop_assert!(loosened.is_empty());
        // Brute force: some way to give each of the floor's stages one of the policy's.
        let fits = |mine: &Stage, least: &Stage| {
            mine.count >= least.count && mine.approvers.within(&least.approvers)
        };
        fn some_way(policy: &[Stage], floor: &[Stage], fits: &dyn Fn(&Stage, &Stage) -> bool) -> bool {
            let Some((least, rest)) = floor.split_first() else { return true };
            (0..policy.len()).any(|at| {
                let others = [&policy[..at], &policy[at + 1..]].concat();
                fits(&policy[at], least) && some_way(&others, rest, fits)
            })
        }
        prop_assert!(some_way(&policy.stages, &floor.stages, &fits));
        // No stage is asked for that could have been left out.
        let mine = spec.stages.as_ref().map_or(0, Vec::len);
        for extra in mine.max(1)..policy.stages.len() {
            let mut fewer = policy.stages.clone();
            fewer.remove(extra);
            prop_assert!(!some_way(&fewer, &floor.stages, &fits));
        }
        let mut names: Vec<_> = policy.stages.iter().map(|stage| &stage.name).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len() , if spec.stages.is_some() { policy.stages.len() } else { names.len() });
    }

    /// What is left to the floor, with what it goes with, is never less than the floor.
    #[test]
    fn whatever_is_left_to_the_floor_is_not_listed(
        floor_expires in prop::option::of(1u64..4),
        floor_on_expiry in expiries(),
        floor_escalate in audiences(),
        least in stages(),
        own_expires in prop::option::of(1u64..4),
        own_on_expiry in prop::option::of(expiries()),
        own_escalate in prop::option::of(audiences()),
    ) {
        let floor = Policy {
            stages: least,
            expires_in_ms: floor_expires,
            on_expiry: floor_on_expiry,
            escalate_to: floor_escalate,
            ..Policy::quorum(1)
        };
        let mut spec = PolicySpec {
            expires_in_ms: own_expires,
            on_expiry: own_on_expiry,
            escalate_to: own_escalate,
            ..PolicySpec::default()
        };
        for _ in 0..3 {
            let Some(setting) = looser(&spec, &floor).into_iter().next() else { break };
            match setting {
                "expires_in_seconds" => spec.expires_in_ms = None,
                _ => (spec.on_expiry, spec.escalate_to) = (None, None),
            }
        }
        prop_assert_eq!(looser(&spec, &floor), [""; 0]);
    }
}
