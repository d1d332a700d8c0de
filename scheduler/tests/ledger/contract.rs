//! What every store of the ledger promises. Each check is given a store of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scheduler::ledger::submit::PAGE_CHUNKS_MAX;
use scheduler::ledger::{
    Batch, BatchState, Body, Claim, Effect, Fate, Item, LeaseTerms, Ledger, LedgerError, NewChunk,
    Standing, Terms, Wish,
};
use scheduler::schedule::decide::Cursor;

/// What a check ends with.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Check = fn(String) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Something is waited for so long.
const PATIENCE: Duration = Duration::from_secs(20);

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// All of them, by name.
        pub(crate) const CHECKS: &[(&str, Check)] =
            &[$((stringify!($name), |url| Box::pin($name(url)))),*];
    };
}

checks!(
    what_a_planner_does_twice_does_nothing,
    what_makes_no_sense_is_told,
    what_is_due_is_claimed_the_urgent_first_and_retries_last,
    progress_is_kept,
    who_has_lost_a_lease_is_refused,
    effects_happen_with_the_progress_or_not_at_all,
    what_a_dead_holder_had_offered_is_listed,
    a_paused_batch_waits,
    a_cancelled_batch_closes_half_way,
    the_dead_are_tried_again,
    what_no_longer_holds_is_dropped_and_counted,
    a_ledger_of_before_learns_to_count_what_was_dropped,
    an_audit_finds_what_is_wrong,
    old_volumes_are_dropped_as_a_whole,
    a_schedule_is_fired_by_one_at_a_time,
    a_draft_that_was_thrown_away_takes_nothing_more,
    two_at_one_ledger_do_each_item_once,
    who_claims_at_the_same_time_finds_other_chunks,
    statements_are_few,
);

pub(crate) fn terms(name: &str) -> Terms {
    let moment = Timestamp::from_second(1_700_000_000).unwrap_or_default();
    Terms {
        name: name.into(),
        nominal: moment,
        opens: moment,
        deadline: moment.saturating_add(SignedDuration::from_hours(900_000)).unwrap_or(moment),
        class: 2,
        sink: "app".into(),
        policy: "{}".into(),
    }
}

pub(crate) fn wish(chunks: u32) -> Wish {
    let (worker, terms, sinks) = ("test".into(), LeaseTerms::default(), Vec::new());
    Wish { worker, chunks, terms, sinks, ahead: Duration::ZERO }
}

/// A wish for leases that are over at once.
fn brief(chunks: u32) -> Wish {
    let terms = LeaseTerms { length: Duration::from_millis(1), grace: Duration::ZERO };
    Wish { terms, ..wish(chunks) }
}

pub(crate) fn effect(sql: &str) -> Effect {
    Effect { sql: sql.into(), values: Vec::new() }
}

/// An hour ago, by the ledger's clock.
pub(crate) async fn due(ledger: &Ledger) -> Result<Timestamp, Box<dyn Error + Send + Sync>> {
    Ok(ledger.now().await?.checked_sub(SignedDuration::from_hours(1))?)
}

/// Chunks of so many items each, all due from `from` on.
pub(crate) fn chunks(
    sizes: &[u32],
    from: Timestamp,
    payload: usize,
) -> Result<Vec<NewChunk>, LedgerError> {
    let mut chunks = Vec::new();
    for (seq, size) in (0..).zip(sizes) {
        let item = |item: u32| Item {
            recipient: format!("{seq}-{item}").into_bytes(),
            payload: vec![b'x'; payload],
        };
        let body = Body::new(&(0..*size).map(item).collect::<Vec<_>>())?;
        chunks.push(NewChunk { seq, from, to: from, body });
    }
    Ok(chunks)
}

/// Submits and seals a batch.
pub(crate) async fn plan(
    ledger: &Ledger,
    terms: &Terms,
    sizes: &[u32],
    from: Timestamp,
) -> Result<Batch, LedgerError> {
    let batch = ledger.submit(terms).await?;
    for page in chunks(sizes, from, 0)?.chunks(PAGE_CHUNKS_MAX) {
        ledger.add(&batch, page).await?;
    }
    let count = u32::try_from(sizes.len()).unwrap_or(u32::MAX);
    ledger.seal(&batch, count, sizes.iter().map(|size| u64::from(*size)).sum()).await?;
    Ok(batch)
}

/// Sends everything that is due, and closes what is over.
pub(crate) async fn work_off(ledger: &Ledger, name: &str) -> Outcome {
    loop {
        let claims = ledger.claim(&wish(16)).await?;
        if claims.is_empty() {
            break;
        }
        for mut claim in claims {
            send_all(&mut claim);
            ledger.release(claim.lease, &mut claim.progress).await?;
        }
    }
    ledger.tidy().await?;
    let report = ledger.report(name).await?;
    assert!(report.closes(), "{report:?}");
    Ok(())
}

fn send_all(claim: &mut Claim) {
    let items: Vec<u32> = claim.progress.due(Timestamp::MAX).collect();
    items.into_iter().for_each(|item| claim.progress.sent(item, Duration::from_millis(7)));
}

async fn one(ledger: &Ledger, wish: &Wish) -> Result<Claim, Box<dyn Error + Send + Sync>> {
    let until = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < until {
        if let Some(claim) = ledger.claim(wish).await?.pop() {
            return Ok(claim);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("nothing is due".into())
}

async fn closes(ledger: &Ledger, name: &str) -> Outcome {
    let (report, audit) = (ledger.report(name).await?, ledger.audit(name).await?);
    assert!(report.closes(), "{report:?}");
    assert!(audit.closes(), "{audit:?}");
    assert_eq!((audit.sent, audit.dead), (report.tally.sent, report.tally.dead));
    assert_eq!((audit.held, audit.cancelled), (report.tally.held, report.cancelled));
    assert_eq!(audit.dropped, report.tally.dropped);
    assert_eq!(audit.open, report.untouched + report.tally.waiting);
    Ok(())
}

async fn what_a_planner_does_twice_does_nothing(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    // Opened by another at the same time, too.
    Ledger::open(&url, 2).await?;
    let from = due(&ledger).await?;
    let batch = ledger.submit(&terms("a")).await?;
    let pages = chunks(&[3, 4, 5], from, 10)?;
    // It dies after the first page, and begins again.
    ledger.add(&batch, &pages[..1]).await?;
    assert!(ledger.claim(&wish(9)).await?.is_empty(), "a draft is not claimed");
    assert_eq!(ledger.submit(&terms("a")).await?, batch);
    ledger.add(&batch, &pages).await?;
    ledger.add(&batch, &pages).await?;
    let wrong = ledger.seal(&batch, 3, 13).await;
    assert!(matches!(wrong, Err(LedgerError::Invalid { .. })), "{wrong:?}");
    ledger.seal(&batch, 3, 12).await?;
    ledger.seal(&batch, 3, 12).await?;
    ledger.add(&batch, &pages).await?;
    let other = ledger.seal(&batch, 3, 13).await;
    assert!(matches!(other, Err(LedgerError::Conflict { .. })), "{other:?}");
    let other = chunks(&[3, 4, 6], from, 10)?;
    let other = ledger.add(&batch, &other).await;
    assert!(matches!(other, Err(LedgerError::Conflict { .. })), "{other:?}");
    let more = chunks(&[3, 4, 5, 1], from, 10)?;
    let more = ledger.add(&batch, &more).await;
    assert!(matches!(more, Err(LedgerError::Sealed(_))), "{more:?}");
    let other = ledger.submit(&Terms { class: 1, ..terms("a") }).await;
    assert!(matches!(other, Err(LedgerError::Conflict { .. })), "{other:?}");
    work_off(&ledger, "a").await?;
    // Also when it is over.
    let again = ledger.submit(&terms("a")).await?;
    assert_eq!((again.id, again.state), (batch.id, BatchState::Done));
    assert_eq!(ledger.report("a").await?.tally.sent, 12);
    assert_eq!(ledger.list(10).await?.len(), 1);
    closes(&ledger, "a").await
}

async fn what_makes_no_sense_is_told(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    let from = due(&ledger).await?;
    for wrong in [
        Terms { name: String::new(), ..terms("a") },
        Terms { name: "a\nb".into(), ..terms("a") },
        Terms { name: "a".repeat(201), ..terms("a") },
        Terms { class: 4, ..terms("a") },
        Terms { deadline: Timestamp::UNIX_EPOCH, ..terms("a") },
        Terms { policy: "x".repeat(20_000), ..terms("a") },
    ] {
        let error = ledger.submit(&wrong).await.expect_err("it makes no sense");
        let is_told = matches!(error, LedgerError::Invalid { .. } | LedgerError::TooLarge { .. });
        assert!(is_told, "{error}");
    }
    let unknown = ledger.report("nobody").await.expect_err("there is none");
    assert_eq!(unknown.to_string(), "there is no batch \"nobody\"");
    assert!(matches!(ledger.pause("nobody").await, Err(LedgerError::UnknownBatch(_))));
    assert!(matches!(ledger.audit("nobody").await, Err(LedgerError::UnknownBatch(_))));
    let batch = ledger.submit(&terms("a")).await?;
    let many = chunks(&[1; 101], from, 0)?;
    let many = ledger.add(&batch, &many).await;
    assert!(matches!(many, Err(LedgerError::TooLarge { .. })), "{many:?}");
    let early = chunks(&[1], Timestamp::UNIX_EPOCH, 0)?;
    let early = ledger.add(&batch, &early).await;
    assert!(matches!(early, Err(LedgerError::Invalid { .. })), "{early:?}");
    let paused = ledger.pause("a").await.expect_err("it is a draft");
    assert_eq!(paused.to_string(), "batch \"a\" is draft: it cannot be asked to pause");
    assert!(ledger.claim(&wish(65)).await.is_err());
    // A hole between two chunks is found when it is sealed.
    let all = chunks(&[2, 2, 2], from, 0)?;
    ledger.add(&batch, &[all[0].clone(), all[2].clone()]).await?;
    let hole = ledger.seal(&batch, 2, 4).await;
    assert!(matches!(hole, Err(LedgerError::Invalid { .. })), "{hole:?}");
    assert!(!ledger.audit("a").await?.closes());
    Ok(())
}

async fn what_is_due_is_claimed_the_urgent_first_and_retries_last(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    let from = due(&ledger).await?;
    let later = ledger.now().await?.checked_add(SignedDuration::from_hours(1))?;
    plan(&ledger, &Terms { class: 3, ..terms("bulk") }, &[2, 2], from).await?;
    plan(&ledger, &Terms { class: 0, sink: "sms".into(), ..terms("urgent") }, &[2], from).await?;
    plan(&ledger, &Terms { class: 0, ..terms("later") }, &[2], later).await?;
    // One fails, and is put behind all others.
    let mut claim = one(&ledger, &wish(1)).await?;
    let urgent = claim.lease.batch();
    assert_eq!(ledger.find("urgent").await?.id, urgent);
    claim.progress.failed(0, from, "no answer");
    claim.progress.sent(1, Duration::ZERO);
    let standing = ledger.release(claim.lease, &mut claim.progress).await?;
    assert_eq!(standing, Standing::Retry(from));
    let sms = Wish { sinks: vec!["fax".into(), "sms".into()], ..wish(1) };
    let order: Vec<i64> =
        ledger.claim(&wish(2)).await?.iter().map(|claim| claim.lease.batch()).collect();
    assert!(order.iter().all(|batch| *batch != urgent), "{order:?}");
    assert!(ledger.claim(&Wish { sinks: vec!["fax".into()], ..wish(9) }).await?.is_empty());
    let mut retry = one(&ledger, &sms).await?;
    assert_eq!(retry.lease.batch(), urgent);
    assert_eq!(retry.progress.due(from).collect::<Vec<_>>(), [0]);
    assert!(ledger.claim(&wish(9)).await?.is_empty(), "the rest is not due");
    retry.progress.sent(0, Duration::ZERO);
    assert_eq!(ledger.release(retry.lease, &mut retry.progress).await?, Standing::Complete);
    assert_eq!(ledger.tidy().await?.closed, 1);
    assert_eq!(ledger.report("urgent").await?.batch.state, BatchState::Done);
    closes(&ledger, "urgent").await?;
    closes(&ledger, "later").await
}

async fn progress_is_kept(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[100], due(&ledger).await?).await?;
    let mut claim = one(&ledger, &wish(1)).await?;
    assert_eq!(claim.items[17].recipient, b"0-17");
    let now = ledger.now().await?;
    claim.progress.sent(99, Duration::from_secs(3));
    claim.progress.paced(Duration::from_millis(30));
    claim.progress.failed(1, Timestamp::UNIX_EPOCH, "no");
    claim.progress.bury(2, "never, ‘quoted’");
    ledger.flush(&mut claim.lease, &mut claim.progress).await?;
    claim.progress.failed(1, Timestamp::UNIX_EPOCH, "no again");
    claim.progress.sent(0, Duration::ZERO);
    ledger.renew(&mut claim.lease).await?;
    let report = ledger.report("a").await?;
    assert_eq!((report.tally.sent, report.tally.waiting, report.tally.dead), (1, 1, 1));
    assert_eq!((report.leased, report.due, report.untouched), (98, 0, 97));
    let fence = claim.lease.fence();
    let standing = ledger.release(claim.lease, &mut claim.progress).await?;
    assert_eq!(standing, Standing::Untouched);
    assert_eq!(ledger.report("a").await?.due, 97);
    let mut again = one(&ledger, &wish(1)).await?;
    assert_eq!(again.progress, claim.progress);
    assert!(again.lease.fence() > fence);
    assert_eq!(again.progress.failure(1).map(|failure| failure.attempts), Some(2));
    assert_eq!(again.progress.due(now).count(), 97);
    assert!(again.ambiguous.is_empty());
    send_all(&mut again);
    ledger.release(again.lease, &mut again.progress).await?;
    ledger.tidy().await?;
    let report = ledger.report("a").await?;
    assert!(report.is_over() && report.tally.sent == 99 && report.tally.dead == 1, "{report:?}");
    assert!(report.lateness.quantile(1.0) >= Duration::from_secs(3));
    assert_eq!(report.pacing.count(), 1);
    assert!(report.pacing.quantile(1.0) >= Duration::from_millis(30));
    let failures = ledger.failures(&report.batch, None, 10).await?;
    let told: Vec<_> = failures
        .iter()
        .map(|failed| (failed.item, failed.failure.fate, failed.failure.why.as_str()))
        .collect();
    assert_eq!(told, [(1, Fate::Sent, "no again"), (2, Fate::Dead, "never, ‘quoted’")]);
    assert_eq!(ledger.failures(&report.batch, Some((0, 1)), 10).await?.len(), 1);
    closes(&ledger, "a").await
}

async fn who_has_lost_a_lease_is_refused(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    let other = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[4], due(&ledger).await?).await?;
    let mut stale = one(&ledger, &brief(1)).await?;
    stale.progress.sent(0, Duration::ZERO);
    // Over, but nobody else's: what was done may still be written down, which renews it.
    ledger.flush(&mut stale.lease, &mut stale.progress).await?;
    let mut fresh = one(&other, &wish(1)).await?;
    assert_eq!(other.cost().takeovers, 1);
    assert_eq!(fresh.progress.due(Timestamp::MAX).collect::<Vec<_>>(), [1, 2, 3]);
    stale.progress.sent(1, Duration::ZERO);
    stale.progress.bury(2, "never");
    let refused = [
        ledger.flush(&mut stale.lease, &mut stale.progress).await,
        ledger.renew(&mut stale.lease).await,
        ledger
            .flush_with(&mut stale.lease, &mut stale.progress, &[effect("DELETE FROM tg_ledger")])
            .await,
        ledger.release(stale.lease, &mut stale.progress).await.map(|_| ()),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(LedgerError::Fenced { .. })), "{refused:?}");
    }
    send_all(&mut fresh);
    let again = fresh.lease.clone();
    other.release(fresh.lease, &mut fresh.progress).await?;
    let twice = other.release(again, &mut fresh.progress).await;
    assert!(matches!(twice, Err(LedgerError::Fenced { .. })), "{twice:?}");
    work_off(&ledger, "a").await?;
    assert_eq!(ledger.report("a").await?.tally.sent, 4);
    closes(&ledger, "a").await
}

async fn effects_happen_with_the_progress_or_not_at_all(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[4], due(&ledger).await?).await?;
    let mut claim = one(&ledger, &wish(1)).await?;
    let create = effect("CREATE TABLE sent (item BIGINT NOT NULL)");
    ledger.flush_with(&mut claim.lease, &mut claim.progress, &[create]).await?;
    let mut tried = claim.clone();
    tried.progress.sent(0, Duration::ZERO);
    tried.progress.bury(1, "never");
    let effects = [effect("INSERT INTO sent VALUES (0)"), effect("INSERT INTO nowhere VALUES (0)")];
    let failed = ledger.flush_with(&mut tried.lease, &mut tried.progress, &effects).await;
    assert!(matches!(failed, Err(LedgerError::Refusing(_))), "{failed:?}");
    let tally = ledger.report("a").await?.tally;
    assert_eq!((tally.sent, tally.dead), (0, 0));
    claim.progress.sent(3, Duration::ZERO);
    ledger.flush_with(&mut claim.lease, &mut claim.progress, &effects[..1]).await?;
    assert_eq!(ledger.report("a").await?.tally.sent, 1);
    // A second row, where there is just one: that of the second try.
    let one = effect("INSERT INTO sent SELECT MIN(7) FROM sent HAVING COUNT(*) = 1");
    ledger.flush_with(&mut claim.lease, &mut claim.progress, &[one]).await?;
    let two = effect("UPDATE tg_chunk_1 SET dead = (SELECT COUNT(*) FROM sent)");
    ledger.flush_with(&mut claim.lease, &mut claim.progress, &[two]).await?;
    assert_eq!(ledger.report("a").await?.tally.dead, 2);
    Ok(())
}

async fn what_a_dead_holder_had_offered_is_listed(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[6], due(&ledger).await?).await?;
    let mut dead = one(&ledger, &brief(1)).await?;
    (0..3).for_each(|item| dead.progress.offer(item));
    ledger.flush(&mut dead.lease, &mut dead.progress).await?;
    dead.progress.sent(0, Duration::ZERO);
    dead.progress.offer(3);
    ledger.flush(&mut dead.lease, &mut dead.progress).await?;
    let mut claim = one(&ledger, &wish(1)).await?;
    assert_eq!(claim.ambiguous, [1, 2, 3]);
    assert_eq!(ledger.report("a").await?.ambiguous, 3);
    claim.progress.hold(2);
    send_all(&mut claim);
    ledger.release(claim.lease, &mut claim.progress).await?;
    ledger.tidy().await?;
    let report = ledger.report("a").await?;
    assert_eq!((report.tally.sent, report.tally.held, report.ambiguous), (5, 1, 3));
    assert_eq!(report.batch.state, BatchState::Done);
    let failures = ledger.failures(&report.batch, None, 10).await?;
    assert!(failures.iter().all(|failed| failed.failure.is_ambiguous));
    assert_eq!(failures[1].failure.fate, Fate::Held);
    assert!(failures[1].wants_a_decision() && !failures[0].wants_a_decision());
    closes(&ledger, "a").await?;
    // Somebody decides.
    assert_eq!(ledger.retry("a", Fate::Held).await?, 1);
    let retry = one(&ledger, &wish(1)).await?;
    assert_eq!(retry.progress.due(Timestamp::MAX).collect::<Vec<_>>(), [2]);
    closes(&ledger, "a").await
}

async fn a_paused_batch_waits(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    let batch = plan(&ledger, &terms("a"), &[2, 2], due(&ledger).await?).await?;
    let mut claim = one(&ledger, &wish(1)).await?;
    assert_eq!(ledger.pause("a").await?.state, BatchState::Paused);
    assert_eq!(ledger.pause("a").await?.state, BatchState::Paused);
    assert_eq!(ledger.states(&[batch.id]).await?, [(batch.id, BatchState::Paused)]);
    assert!(ledger.claim(&wish(9)).await?.is_empty());
    // Who holds a chunk writes down what it has done, and lets go.
    claim.progress.sent(0, Duration::ZERO);
    ledger.release(claim.lease, &mut claim.progress).await?;
    assert!(ledger.claim(&wish(9)).await?.is_empty());
    assert_eq!(ledger.tidy().await?.closed, 0);
    closes(&ledger, "a").await?;
    assert_eq!(ledger.resume("a").await?.state, BatchState::Running);
    work_off(&ledger, "a").await?;
    assert_eq!(ledger.report("a").await?.tally.sent, 4);
    assert!(matches!(ledger.resume("a").await, Err(LedgerError::Refused { .. })));
    assert!(matches!(ledger.cancel("a").await, Err(LedgerError::Refused { .. })));
    closes(&ledger, "a").await
}

async fn a_cancelled_batch_closes_half_way(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[10, 10, 10, 10], due(&ledger).await?).await?;
    let mut done = one(&ledger, &wish(1)).await?;
    send_all(&mut done);
    ledger.release(done.lease, &mut done.progress).await?;
    let mut held = one(&ledger, &wish(1)).await?;
    let mut gone = one(&ledger, &brief(1)).await?;
    gone.progress.sent(0, Duration::ZERO);
    ledger.flush(&mut gone.lease, &mut gone.progress).await?;
    assert_eq!(ledger.cancel("a").await?.state, BatchState::Cancelling);
    assert_eq!(ledger.cancel("a").await?.state, BatchState::Cancelling);
    assert!(ledger.claim(&wish(9)).await?.is_empty());
    // One still writes down what it has sent; the other is gone, and its lease ends.
    (0..4).for_each(|item| held.progress.sent(item, Duration::ZERO));
    held.progress.failed(5, Timestamp::MAX, "no");
    held.progress.bury(6, "never");
    ledger.release(held.lease, &mut held.progress).await?;
    let until = std::time::Instant::now() + PATIENCE;
    while ledger.find("a").await?.state != BatchState::Cancelled {
        assert!(std::time::Instant::now() < until, "it does not close");
        ledger.tidy().await?;
    }
    let late = ledger.flush(&mut gone.lease, &mut gone.progress).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })), "{late:?}");
    let report = ledger.report("a").await?;
    assert_eq!((report.tally.sent, report.tally.dead, report.cancelled), (15, 1, 24));
    assert_eq!((report.untouched, report.tally.waiting), (0, 0));
    assert!(matches!(ledger.retry("a", Fate::Dead).await, Err(LedgerError::Refused { .. })));
    closes(&ledger, "a").await
}

async fn the_dead_are_tried_again(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[5; 3], due(&ledger).await?).await?;
    for mut claim in ledger.claim(&wish(3)).await? {
        claim.progress.bury(0, "never");
        claim.progress.bury(claim.lease.seq(), "never");
        send_all(&mut claim);
        ledger.release(claim.lease, &mut claim.progress).await?;
    }
    ledger.tidy().await?;
    let report = ledger.report("a").await?;
    assert_eq!((report.tally.dead, report.batch.state), (5, BatchState::Done));
    assert!(ledger.retry("a", Fate::Sent).await.is_err());
    assert_eq!(ledger.retry("a", Fate::Dead).await?, 5);
    assert_eq!(ledger.retry("a", Fate::Dead).await?, 0);
    let report = ledger.report("a").await?;
    assert_eq!((report.tally.waiting, report.batch.state), (5, BatchState::Running));
    closes(&ledger, "a").await?;
    work_off(&ledger, "a").await?;
    let report = ledger.report("a").await?;
    assert_eq!(
        (report.tally.sent, report.tally.dead, report.batch.state),
        (15, 0, BatchState::Done)
    );
    closes(&ledger, "a").await
}

async fn what_no_longer_holds_is_dropped_and_counted(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[5], due(&ledger).await?).await?;
    let mut claim = one(&ledger, &wish(1)).await?;
    claim.progress.sent(0, Duration::ZERO);
    claim.progress.dropped(0, "too late: it was sent");
    claim.progress.dropped(1, "it no longer holds");
    claim.progress.failed(2, Timestamp::UNIX_EPOCH, "no answer");
    claim.progress.dropped(2, "it no longer holds");
    ledger.flush(&mut claim.lease, &mut claim.progress).await?;
    closes(&ledger, "a").await?;
    let report = ledger.report("a").await?;
    assert_eq!((report.tally.dropped, report.tally.waiting, report.untouched), (2, 0, 2));
    ledger.release(claim.lease, &mut claim.progress).await?;
    // Who claims the chunk next finds them as they are.
    let mut again = one(&ledger, &wish(1)).await?;
    assert_eq!(again.progress.due(Timestamp::MAX).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(ledger.retry("a", Fate::Dead).await?, 0);
    let wrong = ledger.retry("a", Fate::Dropped).await;
    assert!(matches!(wrong, Err(LedgerError::Invalid { .. })), "{wrong:?}");
    send_all(&mut again);
    assert_eq!(ledger.release(again.lease, &mut again.progress).await?, Standing::Complete);
    assert_eq!(ledger.tidy().await?.closed, 1);
    let report = ledger.report("a").await?;
    assert_eq!((report.tally.sent, report.tally.dropped), (3, 2));
    let listed = ledger.failures(&report.batch, None, 10).await?;
    let told: Vec<_> = listed
        .iter()
        .map(|listed| (listed.item, listed.failure.fate, listed.failure.attempts))
        .collect();
    assert_eq!(told, [(1, Fate::Dropped, 0), (2, Fate::Dropped, 1)]);
    let items = ledger.items(&report.batch, 0).await?;
    assert_eq!(items[1].recipient, b"0-1");
    closes(&ledger, "a").await
}

async fn a_ledger_of_before_learns_to_count_what_was_dropped(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[5], due(&ledger).await?).await?;
    ledger.rotate().await?;
    plan(&ledger, &terms("b"), &[5], due(&ledger).await?).await?;
    let mut claim = one(&ledger, &wish(1)).await?;
    // One column is there, as if somebody had died while they were added.
    let before = [
        "ALTER TABLE tg_chunk_1 DROP COLUMN dropped",
        "ALTER TABLE tg_chunk_1 DROP COLUMN paced",
        "ALTER TABLE tg_chunk_2 DROP COLUMN paced",
        "ALTER TABLE tg_batch DROP COLUMN dropped",
        "ALTER TABLE tg_batch DROP COLUMN paced",
        "UPDATE tg_ledger SET version = 2",
    ]
    .map(effect);
    ledger.flush_with(&mut claim.lease, &mut claim.progress, &before).await?;
    let lost = ledger.flush(&mut claim.lease, &mut claim.progress).await;
    assert!(lost.is_err(), "a ledger of before has no such column");
    let (one, other) = (Ledger::open(&url, 2), Ledger::open(&url, 2));
    let (one, other) = tokio::join!(one, other);
    drop(other?);
    let ledger = one?;
    claim.progress.dropped(0, "it no longer holds");
    send_all(&mut claim);
    ledger.release(claim.lease, &mut claim.progress).await?;
    work_off(&ledger, "a").await?;
    work_off(&ledger, "b").await?;
    let mut dropped = 0;
    for name in ["a", "b"] {
        dropped += ledger.report(name).await?.tally.dropped;
    }
    assert_eq!(dropped, 1);
    closes(&ledger, "a").await?;
    closes(&ledger, "b").await
}

async fn an_audit_finds_what_is_wrong(url: String) -> Outcome {
    for (what, damage) in [
        ("figures", "UPDATE tg_chunk_1 SET sent = sent + 1 WHERE seq = 0"),
        ("bitmap", "UPDATE tg_chunk_1 SET sent = 0, done = offered WHERE seq = 0"),
        ("items", "UPDATE tg_body_1 SET body = digest WHERE seq = 2"),
        ("moment", "UPDATE tg_body_1 SET first = first + 1 WHERE seq = 2"),
        ("chunk", "DELETE FROM tg_chunk_1 WHERE seq = 1"),
        ("both", "UPDATE tg_failure_1 SET item = 0"),
    ] {
        let ledger = Ledger::open(&url, 2).await?;
        let name = format!("of {what}");
        plan(&ledger, &terms(&name), &[5; 4], due(&ledger).await?).await?;
        let mut claims = ledger.claim(&wish(4)).await?;
        claims.sort_by_key(|claim| claim.lease.seq());
        claims[0].progress.sent(0, Duration::ZERO);
        claims[0].progress.bury(1, "never");
        for claim in &mut claims {
            ledger.flush(&mut claim.lease, &mut claim.progress).await?;
        }
        closes(&ledger, &name).await?;
        let batch = ledger.find(&name).await?.id;
        let key = if damage.contains("WHERE") { "AND" } else { "WHERE" };
        let damage = effect(&format!("{damage} {key} batch = {batch}"));
        let mut last = claims.pop().ok_or("four were claimed")?;
        ledger.flush_with(&mut last.lease, &mut last.progress, &[damage]).await?;
        let audit = ledger.audit(&name).await?;
        assert!(!audit.closes() && !audit.told.is_empty(), "{what}: {audit:?}");
    }
    Ok(())
}

async fn old_volumes_are_dropped_as_a_whole(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    let other = Ledger::open(&url, 2).await?;
    let from = due(&ledger).await?;
    plan(&ledger, &terms("old"), &[3], from).await?;
    assert!(other.claim(&Wish { sinks: vec!["none".into()], ..wish(1) }).await?.is_empty());
    assert_eq!(ledger.rotate().await?, 2);
    let batch = plan(&ledger, &terms("new"), &[3], from).await?;
    assert_eq!(batch.volume, 2);
    assert!(ledger.drop_old(Duration::ZERO).await?.is_empty(), "it is not over");
    // One that did not know of the new volume finds it, and both are worked on.
    work_off(&other, "old").await?;
    assert_eq!(ledger.report("new").await?.tally.sent, 3);
    assert!(ledger.drop_old(Duration::from_secs(3600)).await?.is_empty(), "it is not old");
    closes(&ledger, "old").await?;
    assert_eq!(ledger.drop_old(Duration::ZERO).await?, [1]);
    assert!(ledger.drop_old(Duration::ZERO).await?.is_empty());
    // Its figures stay; one that did not know goes on.
    assert_eq!(ledger.report("old").await?.tally.sent, 3);
    assert!(matches!(ledger.audit("old").await, Err(LedgerError::Dropped(_))));
    assert!(matches!(ledger.retry("old", Fate::Dead).await, Err(LedgerError::Dropped(_))));
    let old = ledger.find("old").await?;
    assert!(matches!(ledger.failures(&old, None, 1).await, Err(LedgerError::Dropped(_))));
    assert!(other.claim(&wish(1)).await?.is_empty());
    plan(&ledger, &terms("newer"), &[3], from).await?;
    work_off(&other, "newer").await?;
    assert_eq!(ledger.submit(&terms("old")).await?.state, BatchState::Done);
    closes(&ledger, "newer").await
}

async fn two_at_one_ledger_do_each_item_once(url: String) -> Outcome {
    const CHUNKS: usize = 60;
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[10; CHUNKS], due(&ledger).await?).await?;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let url = url.clone();
        tasks.push(tokio::spawn(async move {
            let ledger = Ledger::open(&url, 2).await?;
            let mut seen = Vec::new();
            loop {
                let claims = ledger.claim(&wish(3)).await?;
                if claims.is_empty() {
                    return Ok::<_, LedgerError>(seen);
                }
                for mut claim in claims {
                    seen.push(claim.lease.seq());
                    ledger.flush(&mut claim.lease, &mut claim.progress).await?;
                    send_all(&mut claim);
                    ledger.release(claim.lease, &mut claim.progress).await?;
                }
            }
        }));
    }
    let mut seen = BTreeMap::new();
    for task in tasks {
        for seq in task.await?? {
            *seen.entry(seq).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), CHUNKS);
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    ledger.tidy().await?;
    assert_eq!(ledger.report("a").await?.batch.state, BatchState::Done);
    closes(&ledger, "a").await
}

/// On MariaDB one of them locked the batch, and the others found nothing.
async fn who_claims_at_the_same_time_finds_other_chunks(url: String) -> Outcome {
    const CLAIMS: u32 = 8;
    let ledger = Arc::new(Ledger::open(&url, CLAIMS).await?);
    plan(&ledger, &terms("a"), &[10; 200], due(&ledger).await?).await?;
    for _ in 0..5 {
        let claim = |_| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move { ledger.claim(&wish(2)).await })
        };
        let mut seen = BTreeMap::new();
        for claims in (0..CLAIMS).map(claim).collect::<Vec<_>>() {
            let claims = claims.await??;
            assert!(!claims.is_empty(), "there is more than all of them want");
            for claim in claims {
                assert_eq!(seen.insert(claim.lease.seq(), ()), None);
            }
        }
    }
    Ok(())
}

async fn statements_are_few(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    plan(&ledger, &terms("a"), &[10; 20], due(&ledger).await?).await?;
    ledger.claim(&wish(1)).await?;
    let before = ledger.cost();
    let mut claims = ledger.claim(&wish(4)).await?;
    let claimed = ledger.cost() - before;
    // One to claim on PostgreSQL; BEGIN, SELECT, UPDATE, COMMIT elsewhere. One for the items.
    let most = if url.starts_with("postgres") { 2 } else { 5 };
    assert!(claims.len() == 4 && claimed.statements <= most && claimed.commits == 1, "{claimed:?}");
    let before = ledger.cost();
    for claim in &mut claims {
        claim.progress.sent(0, Duration::ZERO);
        ledger.flush(&mut claim.lease, &mut claim.progress).await?;
    }
    let flushed = ledger.cost() - before;
    assert_eq!((flushed.statements, flushed.commits), (4, 4));
    Ok(())
}

/// Whoever takes a schedule has it until the lease is over; then it is another's, and the first is refused.
async fn a_schedule_is_fired_by_one_at_a_time(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    ledger.adopt("s", "@hourly", minute).await?;
    let known = async || {
        let (now, standings) = ledger.standings().await?;
        let found = standings.into_iter().find(|standing| standing.name == "s");
        Ok::<_, LedgerError>((now, found.ok_or(LedgerError::UnknownSchedule("s".into()))?))
    };
    let (now, new) = known().await?;
    assert!(new.cursor.last <= now && new.cursor.waiting.is_none() && new.planner.is_none());
    // The same again changes nothing; other times begin a minute ago at the earliest.
    ledger.adopt("s", "@hourly", minute).await?;
    assert_eq!(known().await?.1, new);
    // The clock of SQLite knows milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    ledger.adopt("s", "@daily", Duration::ZERO).await?;
    assert!(known().await?.1.cursor.last > new.cursor.last);
    let (now, standing) = known().await?;
    let planning = ledger.take_schedule(&standing, "one", hour).await?;
    let planning = planning.ok_or("it is free")?;
    assert_eq!(ledger.take_schedule(&standing, "two", hour).await?, None);
    assert!(!ledger.pass_schedule(&standing, standing.cursor).await?);
    assert_eq!(known().await?.1.planner.as_deref(), Some("one"));
    // As if the first had been gone for an hour.
    assert!(ledger.keep_schedule(&planning, Duration::from_micros(1)).await?);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (_, free) = known().await?;
    let second = ledger.take_schedule(&free, "two", hour).await?.ok_or("its lease is over")?;
    let to = Cursor { last: now, fired: now, waiting: Some(now) };
    assert!(!ledger.keep_schedule(&planning, hour).await?);
    assert!(!ledger.give_schedule_back(&planning, Some(to)).await?);
    assert!(ledger.give_schedule_back(&second, Some(to)).await?);
    let (_, moved) = known().await?;
    assert_eq!((moved.cursor, moved.planner.as_ref()), (to, None));
    let passed = Cursor { waiting: None, ..to };
    assert!(ledger.pass_schedule(&moved, passed).await?);
    assert!(!ledger.pass_schedule(&moved, passed).await?, "it is no longer as it was");
    // Paused, nobody takes it, and who has it is told.
    let (_, idle) = known().await?;
    let third = ledger.take_schedule(&idle, "three", hour).await?.ok_or("it is free")?;
    ledger.pause_schedule("s", true).await?;
    ledger.pause_schedule("s", true).await?;
    assert!(!ledger.keep_schedule(&third, hour).await?);
    assert!(ledger.give_schedule_back(&third, None).await?);
    let (_, paused) = known().await?;
    assert!(paused.is_paused && paused.cursor == passed);
    assert_eq!(ledger.take_schedule(&paused, "four", hour).await?, None);
    ledger.pause_schedule("s", false).await?;
    let unknown = ledger.pause_schedule("who", true).await;
    assert!(matches!(unknown, Err(LedgerError::UnknownSchedule(_))));
    ledger.close().await;
    Ok(())
}

/// A planner that wakes when its draft was thrown away has nothing to write to; a new one has the name.
async fn a_draft_that_was_thrown_away_takes_nothing_more(url: String) -> Outcome {
    let ledger = Ledger::open(&url, 2).await?;
    let terms = terms("thrown-away");
    let old = ledger.submit(&terms).await?;
    let from = due(&ledger).await?.max(terms.opens);
    let pages = chunks(&[10, 10], from, 0)?;
    ledger.add(&old, &pages[..1]).await?;
    assert!(ledger.discard(&old).await?);
    assert!(!ledger.discard(&old).await?);
    assert!(ledger.add(&old, &pages[1..]).await.is_err());
    assert!(ledger.seal(&old, 2, 20).await.is_err());
    let new = ledger.submit(&terms).await?;
    assert_ne!(new.id, old.id);
    ledger.add(&new, &pages).await?;
    assert!(ledger.add(&old, &pages).await.is_err());
    ledger.seal(&new, 2, 20).await?;
    assert!(!ledger.discard(&new).await?, "it is no draft");
    assert_eq!(ledger.audit("thrown-away").await?.open, 20);
    assert!(ledger.open_batches().await?.contains(&"thrown-away".to_owned()));
    ledger.cancel("thrown-away").await?;
    ledger.close().await;
    Ok(())
}
