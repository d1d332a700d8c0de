//! What it costs the guard to say no.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::{self, PATIENCE};
use crate::guard::{Config, LIMITED, SWITCHED_OFF};
use crate::report::{Table, number};
use crate::stage::{Stage, Target};
use crate::statistics::quantile;

/// One case ends after this long, however far it has come.
const DURATION: Duration = Duration::from_secs(30);

/// How many are refused.
#[derive(Args)]
pub(crate) struct Options {
    /// Statements per case.
    #[arg(long, default_value_t = 50_000)]
    statements: usize,
}

#[derive(Serialize)]
struct Case {
    /// What refuses.
    by: &'static str,
    clients: usize,
    refused: usize,
    /// Statements that were run instead; there should be none.
    passed: usize,
    seconds: f64,
    /// CPU of the guard per refusal, in µs, reading the statement and writing the answer included.
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// The first refusal, as the client read it.
    message: String,
}

/// Has a switch and a limit refuse statements, of one client and of many.
pub(crate) fn run(stage: &Stage, options: &Options) -> Result<()> {
    let Some(target) = stage.guard(Config::Paced) else { return Ok(()) };
    let mut cases = Vec::new();
    for (by, tag) in [("switch", SWITCHED_OFF), ("limit", LIMITED)] {
        cases.extend(client::block_on(refuse(&target, by, tag, options.statements))?);
    }
    report(stage, &cases)
}

async fn refuse(
    target: &Target,
    by: &'static str,
    tag: &str,
    statements: usize,
) -> Result<Vec<Case>> {
    // Takes the one place of the limited class and keeps it; the switch refuses it at once.
    let mut holder = client::connect(target.addr).await?;
    let hold = format!("SELECT SLEEP({}) /*{tag}*/", 4 * DURATION.as_secs());
    let holder = tokio::spawn(async move { holder.query_drop(hold).await });
    let sql = format!("SELECT 1 /*{tag}*/");
    until_refused(target, &sql).await?;

    let mut cases = Vec::new();
    for clients in [1, 64] {
        let mut open = Vec::with_capacity(clients);
        for _ in 0..clients {
            open.push(client::connect(target.addr).await?);
        }
        let cpu_before = target.cpu()?;
        let begun = Instant::now();
        let mut knocking = JoinSet::new();
        for connection in open {
            knocking.spawn(knock(connection, sql.clone(), statements / clients));
        }
        let answers = knocking.join_all().await;
        let cpu = target.cpu()?.saturating_sub(cpu_before);
        cases.push(Case::of(by, answers, begun.elapsed(), cpu));
    }
    holder.abort();
    Ok(cases)
}

/// Waits until the holder has its place.
async fn until_refused(target: &Target, sql: &str) -> Result<()> {
    let mut connection = client::connect(target.addr).await?;
    let deadline = Instant::now() + PATIENCE;
    while !matches!(connection.query_drop(sql).await, Err(Error::Server(_))) {
        ensure!(Instant::now() < deadline, "`{sql}` is never refused");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// What one client was told.
#[derive(Default)]
struct Answers {
    refused_ms: Vec<f64>,
    passed: usize,
    message: String,
}

/// Sends the same statement `times` times, each after the answer to the last, for at most
/// [`DURATION`].
async fn knock(mut connection: Conn, sql: String, times: usize) -> Answers {
    let mut answers = Answers::default();
    let deadline = Instant::now() + DURATION;
    for _ in 0..times {
        let begun = Instant::now();
        match connection.query_drop(sql.as_str()).await {
            Ok(()) => answers.passed += 1,
            Err(Error::Server(error)) => {
                answers.refused_ms.push(begun.elapsed().as_secs_f64() * 1e3);
                if answers.message.is_empty() {
                    answers.message = error.to_string();
                }
            }
            // The connection is gone, which no refusal may do to it: the count will be short.
            Err(_) => break,
        }
        if Instant::now() > deadline {
            break;
        }
    }
    answers
}

impl Case {
    fn of(by: &'static str, answers: Vec<Answers>, elapsed: Duration, cpu: Duration) -> Self {
        let refused_ms: Vec<f64> =
            answers.iter().flat_map(|one| one.refused_ms.iter().copied()).collect();
        let refused = refused_ms.len();
        Self {
            by,
            clients: answers.len(),
            refused,
            passed: answers.iter().map(|one| one.passed).sum(),
            seconds: elapsed.as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / refused as f64,
            p50_ms: quantile(refused_ms.clone(), 0.50),
            p99_ms: quantile(refused_ms, 0.99),
            message: answers.into_iter().next().map(|one| one.message).unwrap_or_default(),
        }
    }
}

fn report(stage: &Stage, cases: &[Case]) -> Result<()> {
    let mut table = Table::new(
        1,
        &[
            "refused by",
            "clients",
            "refused",
            "passed",
            "refusals/s",
            "CPU µs each",
            "p50 ms",
            "p99 ms",
        ],
    );
    for case in cases {
        table.push(vec![
            case.by.to_owned(),
            case.clients.to_string(),
            case.refused.to_string(),
            case.passed.to_string(),
            number(case.refused as f64 / case.seconds, 0),
            number(case.cpu_us, 1),
            number(case.p50_ms, 3),
            number(case.p99_ms, 3),
        ]);
    }
    stage.report("refusal", "Refusals by the guard", &table, &cases)
}
