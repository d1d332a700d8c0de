//! Schedulers that are killed and frozen at random while they work on one ledger.
//!
//! Two of them have effects in the ledger's own database, two in a file, which is what a webhook is:
//! the effect cannot be kept together with the progress. In rounds until the time is over, a batch for
//! each is worked off. Of the first, nothing may be lost or doubled; of the second nothing may be lost,
//! and what stands twice must be listed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::{Process, Scratch, seconds};
use rustix::process::Signal;
use scheduler::ledger::{Batch, BatchState, Ledger, LedgerError, Terms};

use crate::contract::{Outcome, due, plan, terms};
use crate::sink;

/// Longer than a lease of the worker and its grace.
const FROZEN: Duration = Duration::from_millis(1300);
/// A round that takes longer is stuck.
const ROUND: Duration = Duration::from_secs(120);
/// Workers for each kind of sink.
const WORKERS: usize = 2;

struct Worker {
    process: Process,
    file: Option<PathBuf>,
    frozen_until: Option<Instant>,
}

/// What was done to the workers.
#[derive(Debug, Default)]
struct Deaths {
    killed: u32,
    frozen: u32,
}

/// Plays until the time is over, at least one round.
pub(crate) async fn play(store: &str, url: &str) -> Outcome {
    let seed =
        std::env::var("TG_SEED").map_or_else(|_| Ok(fastrand::u64(..)), |seed| seed.parse())?;
    let mut chance = fastrand::Rng::with_seed(seed);
    eprintln!("{store}: TG_SEED={seed}");
    let folder = Scratch::new()?;
    let file = folder.path().join("sent");
    fs::write(&file, "")?;
    let ledger = Ledger::open(url, 2).await?;
    let table =
        "CREATE TABLE sink (batch BIGINT NOT NULL, seq BIGINT NOT NULL, item BIGINT NOT NULL)";
    sink::run(url, table).await?;
    let mut workers = Vec::new();
    for index in 0..WORKERS * 2 {
        let file = (index % 2 == 1).then(|| file.clone());
        workers.push(start(url, file, chance.u64(..), folder.path())?);
    }
    let until = Instant::now() + seconds(10);
    let (mut deaths, mut round) = (Deaths::default(), 0);
    let mut all = Vec::new();
    while round == 0 || Instant::now() < until {
        round += 1;
        let batches = submit(&ledger, round, &mut chance).await?;
        let end = Instant::now() + ROUND;
        while !are_done(&ledger, &batches).await? {
            assert!(Instant::now() < end, "round {round} is stuck: {:?}", ledger.list(4).await?);
            disturb(&mut workers, (url, folder.path()), &mut chance, &mut deaths)?;
            tokio::time::sleep(Duration::from_millis(chance.u64(20..150))).await;
        }
        wake(&mut workers, |_| true)?;
        check_table(&ledger, url, &batches[0]).await?;
        check_file(&ledger, &file, &batches[1]).await?;
        all.push(batches);
    }
    // Again, when all that were frozen are gone: what they did last counts, too.
    drop(workers);
    let (mut items, mut listed) = (0, 0);
    for batches in &all {
        items += check_table(&ledger, url, &batches[0]).await?;
        listed += check_file(&ledger, &file, &batches[1]).await?;
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let fenced = log.lines().filter(|line| *line == "fenced").count();
    eprintln!(
        "{store}: {round} rounds, {items} items with their effect, 0 lost, 0 doubled; {deaths:?}, \
         {fenced} writes refused by a fence; of the items in the file {listed} listed as ambiguous"
    );
    Ok(())
}

fn start(
    url: &str,
    file: Option<PathBuf>,
    seed: u64,
    folder: &Path,
) -> Result<Worker, harness::Error> {
    let mut arguments = vec![url.to_owned(), format!("worker-{seed}"), seed.to_string()];
    arguments.extend(file.iter().map(|file| file.display().to_string()));
    let program = Path::new(env!("CARGO_BIN_EXE_ledger-worker"));
    let process = Process::start(program, arguments, &folder.join("log"))?;
    Ok(Worker { process, file, frozen_until: None })
}

/// Submits a batch for each kind of sink, as a planner that dies half-way and begins again.
async fn submit(
    ledger: &Ledger,
    round: u32,
    chance: &mut fastrand::Rng,
) -> Result<[Batch; 2], Box<dyn std::error::Error + Send + Sync>> {
    let from = due(ledger).await?;
    let mut batches = Vec::new();
    for (sink, chunks) in [("sql", 60), ("file", 25)] {
        let terms = Terms { sink: sink.into(), ..terms(&format!("{sink}-{round}")) };
        let sizes: Vec<u32> = (0..chunks).map(|_| chance.u32(1..60)).collect();
        plan(ledger, &terms, &sizes, from).await?;
        batches.push(plan(ledger, &terms, &sizes, from).await?);
    }
    batches.try_into().map_err(|_| "there are two".into())
}

async fn are_done(ledger: &Ledger, batches: &[Batch; 2]) -> Result<bool, LedgerError> {
    let ids = batches.each_ref().map(|batch| batch.id);
    match ledger.states(&ids).await {
        Ok(states) => Ok(states.iter().all(|(_, state)| *state == BatchState::Done)),
        // A frozen worker may hold the whole of a SQLite file.
        Err(error) if error.is_busy() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Kills one, or freezes one, or wakes those that were frozen for long enough; or does nothing.
fn disturb(
    workers: &mut [Worker],
    (url, folder): (&str, &Path),
    chance: &mut fastrand::Rng,
    deaths: &mut Deaths,
) -> Outcome {
    let now = Instant::now();
    wake(workers, |end| end <= now)?;
    let chosen = chance.usize(0..workers.len());
    let worker = &mut workers[chosen];
    match chance.u32(0..4) {
        0 => {
            worker.process.kill();
            *worker = start(url, worker.file.take(), chance.u64(..), folder)?;
            deaths.killed += 1;
        }
        1 if worker.frozen_until.is_none() => {
            worker.process.signal(Signal::STOP)?;
            worker.frozen_until = Some(now + FROZEN);
            deaths.frozen += 1;
        }
        _ => {}
    }
    Ok(())
}

/// Wakes those that are frozen up to a moment that is chosen.
fn wake(workers: &mut [Worker], chosen: impl Fn(Instant) -> bool) -> Outcome {
    for worker in workers.iter_mut().filter(|worker| worker.frozen_until.is_some_and(&chosen)) {
        worker.process.signal(Signal::CONT)?;
        worker.frozen_until = None;
    }
    Ok(())
}

/// Each item stands once in the table, and the books close. Returns how many there are.
async fn check_table(
    ledger: &Ledger,
    url: &str,
    batch: &Batch,
) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let sql = format!(
        "SELECT COUNT(*), COUNT(DISTINCT seq * 1000 + item) FROM sink WHERE batch = {}",
        batch.id
    );
    let counts = sink::rows(url, &sql).await?.remove(0);
    let audit = audit(ledger, batch).await?;
    let items = i64::try_from(audit.items)?;
    assert_eq!(counts, [items, items], "rows, and different ones: lost or doubled");
    assert_eq!(audit.sent, audit.items);
    Ok(audit.items)
}

/// Each item stands in the file, and what stands there twice is listed. Returns how many are listed.
async fn check_file(
    ledger: &Ledger,
    file: &Path,
    batch: &Batch,
) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let mut times = BTreeMap::new();
    for line in fs::read_to_string(file)?.lines() {
        let mut numbers = line.split(' ').map(str::parse::<u32>);
        let mut next = || numbers.next().ok_or("a short line")?.map_err(|error| error.to_string());
        let (id, place) = (next()?, (next()?, next()?));
        if i64::from(id) == batch.id {
            *times.entry(place).or_insert(0) += 1;
        }
    }
    let audit = audit(ledger, batch).await?;
    assert_eq!(times.len() as u64, audit.items, "some were lost");
    let failures = ledger.failures(batch, None, 10_000).await?;
    let is_listed = |place: &(u32, u32)| {
        failures
            .iter()
            .any(|failed| (failed.seq, failed.item) == *place && failed.failure.is_ambiguous)
    };
    for (place, _) in times.iter().filter(|(_, times)| **times > 1) {
        assert!(is_listed(place), "{place:?} stands there twice and is not listed");
    }
    Ok(audit.ambiguous)
}

async fn audit(
    ledger: &Ledger,
    batch: &Batch,
) -> Result<scheduler::ledger::audit::Audit, Box<dyn std::error::Error + Send + Sync>> {
    // A worker that is frozen in the middle of a look may hold a row, or the file.
    for _ in 0..100 {
        match ledger.audit(&batch.terms.name).await {
            Err(error) if error.is_busy() => tokio::time::sleep(Duration::from_millis(50)).await,
            audited => {
                let audit = audited?;
                assert!(audit.closes(), "{audit:?}");
                return Ok(audit);
            }
        }
    }
    Err("the ledger stays busy".into())
}
