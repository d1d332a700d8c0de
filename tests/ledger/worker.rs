//! A scheduler that does nothing but work on a ledger, so that a test can kill and freeze it: claims
//! chunks, has their effects happen, writes down what came of it, until somebody ends it.
//!
//! `ledger-worker URL NAME SEED` inserts a row into `sink` for each item of batches for the sink `sql`,
//! in the transaction that writes the progress down. With a file behind, it appends a line to that
//! for each item of batches for the sink `file`, offered before and flushed after, as a webhook
//! would be.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use scheduler::ledger::{Claim, Effect, LeaseTerms, Ledger, LedgerError, Wish};

/// Short, so that a test sees many takeovers.
const TERMS: LeaseTerms =
    LeaseTerms { length: Duration::from_millis(800), grace: Duration::from_millis(100) };
/// Items between two flushes.
const WINDOW: usize = 7;
/// Of so many items one fails at first.
const FAILS: u32 = 40;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = env::args().skip(1);
    let url = words.next().expect("a URL");
    let worker = words.next().expect("a name");
    let seed = words.next().expect("a seed").parse().expect("a number");
    let file = words.next().map(|path| File::options().append(true).open(path).expect("a file"));
    fastrand::seed(seed);
    let sink = if file.is_some() { "file" } else { "sql" };
    let (chunks, sinks, ahead) = (2, vec![sink.into()], Duration::ZERO);
    let wish = Wish { worker, chunks, terms: TERMS, sinks, ahead };
    loop {
        // What fails is told, and done again: by this one or another.
        if let Err(error) = work(&url, &wish, file.as_ref()).await {
            eprintln!("{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn work(url: &str, wish: &Wish, file: Option<&File>) -> Result<(), LedgerError> {
    let ledger = Ledger::open(url, 2).await?;
    loop {
        let claims = ledger.claim(wish).await?;
        if claims.is_empty() {
            ledger.tidy().await?;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(5..30))).await;
        }
        for claim in claims {
            let done = match file {
                Some(file) => append(&ledger, claim, file).await,
                None => insert(&ledger, claim).await,
            };
            match done {
                // Another has it: this one stops.
                Err(LedgerError::Fenced { .. }) => eprintln!("fenced"),
                done => done?,
            }
        }
    }
}

/// Effect and progress together.
async fn insert(ledger: &Ledger, mut claim: Claim) -> Result<(), LedgerError> {
    loop {
        let items: Vec<u32> = claim.progress.due(Timestamp::now()).take(WINDOW).collect();
        if items.is_empty() {
            break;
        }
        let mut rows = Vec::new();
        for item in items {
            if fails(&claim, item) {
                claim.progress.failed(item, Timestamp::UNIX_EPOCH, "by chance");
                continue;
            }
            claim.progress.sent(item, Duration::ZERO);
            rows.push(format!("({}, {}, {item})", claim.lease.batch(), claim.lease.seq()));
        }
        let sql = format!("INSERT INTO sink (batch, seq, item) VALUES {}", rows.join(", "));
        let effects = [Effect { sql, values: Vec::new() }];
        let effects = if rows.is_empty() { &[][..] } else { &effects };
        ledger.flush_with(&mut claim.lease, &mut claim.progress, effects).await?;
        dawdle().await;
    }
    ledger.release(claim.lease, &mut claim.progress).await?;
    Ok(())
}

/// Offered, then sent, then written down with what is offered next.
async fn append(ledger: &Ledger, mut claim: Claim, file: &File) -> Result<(), LedgerError> {
    loop {
        let items: Vec<u32> = claim.progress.due(Timestamp::now()).take(WINDOW).collect();
        items.iter().for_each(|item| claim.progress.offer(*item));
        ledger.flush(&mut claim.lease, &mut claim.progress).await?;
        if items.is_empty() {
            break;
        }
        for item in items {
            if claim.lease.left(Instant::now()).is_zero() {
                // Nothing more is begun; whoever comes next finds it listed.
                return Ok(());
            }
            let line = format!("{} {} {item}\n", claim.lease.batch(), claim.lease.seq());
            let mut file = file;
            file.write_all(line.as_bytes()).expect("the file takes a line");
            claim.progress.sent(item, Duration::ZERO);
        }
        dawdle().await;
    }
    ledger.release(claim.lease, &mut claim.progress).await?;
    Ok(())
}

/// Some items fail the first time.
fn fails(claim: &Claim, item: u32) -> bool {
    claim.progress.failure(item).is_none() && fastrand::u32(0..FAILS) == 0
}

async fn dawdle() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..4))).await;
}
