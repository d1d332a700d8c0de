//! The ledger in a SQLite file: what every store promises, and a disk that is full.

#[path = "ledger/contract.rs"]
mod contract;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use scheduler::ledger::{Effect, Ledger, LedgerError};

use contract::{Outcome, due, effect, plan, terms, work_off};

/// A file of its own, gone at the end.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegate-ledger-{}-{number}.db", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let path = format!("{}{end}", self.0.display());
            if std::path::Path::new(&path).exists()
                && let Err(error) = std::fs::remove_file(&path)
            {
                eprintln!("{path}: {error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() -> Outcome {
    for (name, check) in contract::CHECKS {
        let file = File::new();
        eprintln!("{name}");
        check(file.url()).await.map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_nothing_is_lost() -> Outcome {
    let file = File::new();
    let ledger = Ledger::open(&file.url(), 1).await?;
    plan(&ledger, &terms("first"), &[10, 10], due(&ledger).await?).await?;
    // The file's bound is the connection's, and the ledger writes over one.
    let bound = |pages: u32| effect(&format!("PRAGMA max_page_count = {pages}"));
    with_a_lease(&ledger, bound(60)).await?;
    // A kibibyte of payload for each of 500: half a megabyte, twice what there is.
    let chunks = contract::chunks(&[250, 250], due(&ledger).await?, 1024)?;
    let batch = ledger.submit(&terms("second")).await?;
    let full = ledger.add(&batch, &chunks).await;
    assert!(matches!(full, Err(LedgerError::Full(_))), "{full:?}");
    assert_eq!(ledger.report("second").await?.tally.items, 0);
    // What was there before goes on, and closes.
    work_off(&ledger, "first").await?;
    let audit = ledger.audit("first").await?;
    assert!(audit.closes() && audit.sent == 20, "{audit:?}");
    // With room, the planner begins again, and all of it is there.
    plan(&ledger, &terms("third"), &[1], due(&ledger).await?).await?;
    with_a_lease(&ledger, bound(100_000)).await?;
    ledger.add(&batch, &chunks).await?;
    ledger.seal(&batch, 2, 500).await?;
    work_off(&ledger, "second").await?;
    let audit = ledger.audit("second").await?;
    assert!(audit.closes() && audit.sent == 500, "{audit:?}");
    Ok(())
}

async fn with_a_lease(ledger: &Ledger, effect: Effect) -> Outcome {
    let mut claims = ledger.claim(&contract::wish(1)).await?;
    let mut claim = claims.pop().ok_or("nothing is due")?;
    ledger.flush_with(&mut claim.lease, &mut claim.progress, &[effect]).await?;
    ledger.release(claim.lease, &mut claim.progress).await?;
    Ok(())
}

#[tokio::test]
async fn a_url_that_names_no_store_is_told_without_it() {
    for url in ["redis://u:secret@h/1", "secret", "mysql://u:secret@h:port/d"] {
        let error = Ledger::open(url, 1).await.expect_err("no store");
        assert!(matches!(error, LedgerError::Url { .. }), "{error}");
        assert!(!error.to_string().contains("secret") || url == "secret", "{error}");
        assert!(error.to_string().contains("sqlite:FILE"), "{error}");
    }
}

#[tokio::test]
async fn an_older_ledger_gets_what_it_lacks_and_keeps_what_it_has() -> Outcome {
    let file = File::new();
    let ledger = Ledger::open(&file.url(), 1).await?;
    plan(&ledger, &terms("first"), &[1, 1], due(&ledger).await?).await?;
    with_a_lease(&ledger, effect("DROP TABLE tg_schedule")).await?;
    with_a_lease(&ledger, effect("UPDATE tg_ledger SET version = 1")).await?;
    ledger.close().await;
    let ledger = Ledger::open(&file.url(), 1).await?;
    assert_eq!(ledger.standings().await?.1, []);
    assert_eq!(ledger.find("first").await?.items, 2);
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn a_newer_ledger_is_left_alone() -> Outcome {
    let file = File::new();
    let ledger = Ledger::open(&file.url(), 1).await?;
    plan(&ledger, &terms("first"), &[1], due(&ledger).await?).await?;
    with_a_lease(&ledger, effect("UPDATE tg_ledger SET version = 4")).await?;
    ledger.close().await;
    let error = Ledger::open(&file.url(), 1).await.expect_err("a newer one");
    assert!(matches!(error, LedgerError::Version { found: 4, known: 3 }), "{error}");
    Ok(())
}
