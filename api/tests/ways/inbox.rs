//! The inbox of somebody is what they may decide: no more, and no less.

use std::cell::RefCell;

use neena_engine::approval::{Person, may_approve};
use neena_engine::ids::{OrganizationId, RunId};
use neena_store::Store;
use neena_store::queries;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::case::{Case, PEOPLE, case, email};
use super::scene::{Scene, Way};
use super::town::Town;

/// Whether `who` may approve what is asked about the run now, and has not said anything in its stage yet; told by the
/// engine, of everything there is to know.
async fn expected(town: &Town, case: &Case, run: Uuid, who: usize) -> bool {
    let plan = town.store.plan(RunId(run)).await.unwrap();
    let organization = OrganizationId(plan.head.organization);
    let db = town.api.db.reader();
    let tenant = queries::of(db, organization);
    let asks = tenant.asks(RunId(run)).await.unwrap();
    let Some(ask) = asks.into_iter().find(|ask| ask.state == "open") else {
        return false;
    };
    let policy = match case.gate {
        true => &plan.graph.operation(0).approval.as_ref().unwrap().policy,
        false => &plan.head.policy,
    };
    let rows = tenant.votes(RunId(run)).await.unwrap();
    let votes: Vec<_> = rows
        .iter()
        .filter(|row| row.idx == ask.idx)
        .map(queries::standing::vote)
        .collect();
    let users = neena_store::entities::user::Entity::find().all(db).await;
    let user = users
        .unwrap()
        .into_iter()
        .find(|user| user.organization_id == organization.0 && user.email == email(who))
        .unwrap();
    let now = town.api.db.now().await.unwrap();
    let roles = neena_store::roles(db, organization, &user.email, now).await;
    let (roles, words) = (roles.unwrap(), queries::reaching::people::words(&user));
    let person = Person {
        user: user.id.into(),
        email: &user.email,
        permissions: &words,
        roles: &roles,
    };
    let said = votes
        .iter()
        .any(|vote| vote.approver == person.user && vote.stage as i32 == ask.stage);
    let stage = ask.stage as usize;
    let origin = plan.head.origin();
    let may = may_approve(policy, stage, ask.escalated, &person, &origin, &votes);
    may.is_ok() && !said
}

/// The runs that wait for somebody, read in pages of this size.
async fn inbox(town: &Town, case: &Case, who: usize, size: usize) -> Vec<Uuid> {
    let mut runs = Vec::new();
    loop {
        let path = format!("/approvals/all?skip={}&limit={size}", runs.len());
        let page = town.call(case.world, who, "GET", &path, None).await;
        let page = page.expect(200).body;
        let page = page.as_array().unwrap();
        let of = |row: &serde_json::Value| row["flow_run"].as_str().unwrap().parse().unwrap();
        runs.extend(page.iter().map(of).collect::<Vec<Uuid>>());
        if page.len() < size {
            return runs;
        }
    }
}

async fn holds(
    town: &Town,
    case: &Case,
    run: Uuid,
    met: &mut [u32; 2],
) -> Result<(), TestCaseError> {
    for who in 0..PEOPLE {
        // Who may approve nothing has no inbox.
        if !case.world().approve.contains(&who) {
            let none = town.call(case.world, who, "GET", "/approvals/all", None);
            prop_assert_eq!(none.await.status, 403);
            prop_assert!(!expected(town, case, run, who).await);
            continue;
        }
        let seen = inbox(town, case, who, 1_000).await;
        let may = expected(town, case, run, who).await;
        prop_assert_eq!(seen.contains(&run), may, "{} sees {:?}", who, run);
        met[usize::from(may)] += 1;
        prop_assert_eq!(inbox(town, case, who, 7).await, seen, "in pages");
    }
    Ok(())
}

#[test]
fn the_inbox_shows_what_somebody_may_decide() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let town = runtime.block_on(Town::build());
    let met = RefCell::new([0; 2]);
    let cases = super::cases().min(2_000) / 2;
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        source_file: Some(file!()),
        max_shrink_iters: 100,
        ..ProptestConfig::default()
    });
    let lived = runner.run(&case(), |case| {
        let met = &mut *met.borrow_mut();
        runtime.block_on(async {
            let flow = town.flow(case.world, case.author, &case.policy, case.gate);
            let mut scene = Scene::set(&town, &case, flow.await).await;
            holds(&town, &case, scene.run, met).await?;
            for step in &case.steps {
                scene.step(step, Way::Any).await;
                holds(&town, &case, scene.run, met).await?;
            }
            // It makes room for the next ones.
            let over = format!("/flow_runs/cancel?flow_run_id={}", scene.run);
            town.call(case.world, 0, "PUT", &over, None).await;
            Ok(())
        })
    });
    lived.unwrap_or_else(|error| panic!("{error}"));
    assert!(met.into_inner().iter().all(|times| *times > 0));
}
