//! What sinks can take and what they cost: webhooks, rows and jobs, each from one thread.
//!
//! The thread of the sinks and the receiver share the machine, so besides what passed in a second
//! there is what would pass if a core were the sinks' own: by their CPU time, without the receiver's. What
//! was offered is counted again where it went to: each request, row and job must be there.

mod receiver;

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Args;
use drill::home::{Scratch, free_port};
use drill::process::Process;
use drill::server::account::ROOT;
use drill::server::engine::Engine;
use drill::server::{Server, Settings};
use policy::dispatch::{concurrency, lane};
use scheduler::nodelay::send_at_once;
use scheduler::sink::sql::{Connection, Dialect, Statement, progress, put};
use scheduler::sink::{Chunk, Fate, Item, SLICE_MAX, Sink, Slice, http, redis};
use serde::Serialize;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, MySqlConnection, PgConnection};

pub(crate) use self::receiver::KEY;
pub(crate) use self::receiver::receive;
use self::receiver::seen;
use crate::Shared;
use crate::machine::Machine;
use crate::process::{cpu_of, cpu_of_family};
use crate::report::{Table, number};
use crate::stage::report;
use crate::statistics::median;

/// Connections to the receiver of webhooks.
const AT_ONCE: u32 = 64;
/// Until what was started answers.
const START: Duration = Duration::from_secs(30);

/// How long it is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds of each sink; the medians over them are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each round.
    #[arg(long, default_value_t = 5)]
    time: u64,
}

/// One round of one sink.
#[derive(Serialize)]
struct Round {
    sink: String,
    items_per_second: f64,
    /// CPU of this process, and of the receiver, for each item.
    cpu_us: f64,
    receiver_us: f64,
}

/// Measures all sinks, one after the other.
pub(crate) fn run(shared: &Shared, options: &Options) -> Result<()> {
    std::fs::create_dir_all(&shared.out)
        .with_context(|| format!("cannot create {}", shared.out.display()))?;
    ensure!(options.rounds > 0 && options.time > 0, "a measurement needs rounds and time");
    let machine = Machine::describe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rounds = Vec::new();
    runtime.block_on(async {
        rounds.extend(webhooks(options, "webhook, signed", true).await?);
        rounds.extend(webhooks(options, "webhook", false).await?);
        rounds.extend(rows_on_postgres(options).await?);
        rounds.extend(rows_on_mariadb(options).await?);
        rounds.extend(jobs(options).await?);
        Ok::<_, anyhow::Error>(())
    })?;
    let heading = ["sink", "items/s", "CPU, µs/item", "items/s of a core", "receiver, µs/item"];
    let mut table = Table::new(1, &heading);
    for measured in rounds.chunk_by(|one, next| one.sink == next.sink) {
        let of = |part: fn(&Round) -> f64| median(measured.iter().map(part));
        table.push(vec![
            measured[0].sink.clone(),
            number(of(|round| round.items_per_second), 0),
            number(of(|round| round.cpu_us), 2),
            number(1e6 / of(|round| round.cpu_us), 0),
            number(of(|round| round.receiver_us), 2),
        ]);
    }
    let title = format!("Sinks, one thread, medians of {} × {} s", options.rounds, options.time);
    report(&shared.out, &machine, ("sinks", &title), &table, &rounds)
}

/// Repeats `offer`, which returns how many items are there, for the rounds that were asked for; returns with
/// them how many there were in all.
async fn measure(
    options: &Options,
    sink: &str,
    receiver: u32,
    mut offer: impl AsyncFnMut(u32) -> Result<usize>,
) -> Result<(Vec<Round>, u64)> {
    let (mut number, mut all) = (0, 0);
    let mut rounds = Vec::new();
    // The first one opens connections and is not counted.
    for round in 0..=options.rounds {
        let cpu = || anyhow::Ok((cpu_of(std::process::id())?, cpu_of_family(receiver)?));
        let (began, before, mut items) = (Instant::now(), cpu()?, 0);
        let lasting = Duration::from_secs(if round == 0 { 1 } else { options.time });
        while began.elapsed() < lasting {
            items += offer(number).await?;
            number += 1;
        }
        all += items as u64;
        let (took, after, items) = (began.elapsed().as_secs_f64(), cpu()?, items as f64);
        if round > 0 {
            rounds.push(Round {
                sink: sink.to_owned(),
                items_per_second: items / took,
                cpu_us: (after.0 - before.0).as_secs_f64() * 1e6 / items,
                receiver_us: after.1.saturating_sub(before.1).as_secs_f64() * 1e6 / items,
            });
        }
    }
    Ok((rounds, all))
}

fn items(body: &'static str) -> Vec<Item> {
    let item = |position: u32| Item {
        position,
        recipient: (1_000_000 + position).to_string().into(),
        body: Bytes::from_static(body.as_bytes()),
        attempt: 1,
        tenant: 0,
        deadline: None,
    };
    (0..SLICE_MAX as u32).map(item).collect()
}

fn chunk(number: u32) -> Chunk<'static> {
    let first = u64::from(number) * SLICE_MAX as u64;
    Chunk { batch: "reminders@13:00", number, first, fence: 1 }
}

fn all_done(fates: &[Fate]) -> Result<usize> {
    let odd = fates.iter().find(|fate| **fate != Fate::Done);
    ensure!(odd.is_none(), "an item was not done: {odd:?}");
    Ok(fates.len())
}

async fn webhooks(options: &Options, name: &str, is_signed: bool) -> Result<Vec<Round>> {
    let (receiver, listen) = receiver(&Scratch::new()?).await?;
    let keys = if is_signed { vec![KEY.parse()?] } else { Vec::new() };
    let mut config = http::Config::new(format!("http://{listen}/").parse()?, keys);
    let concurrency = concurrency::Config { min: AT_ONCE, max: AT_ONCE };
    config.lane = lane::Config { concurrency, tenant_max: NonZeroU32::MAX, ceiling: None };
    let sink = http::Http::new(config)?;
    let items = items(r#"{"type":"reminder.due","data":{"user_id":1234567,"words":"dentist"}}"#);
    let (rounds, offered) = measure(options, name, receiver.id(), async |number| {
        // Two slices, so that the end of the one is filled by the other.
        let slice = |chunk| Slice { chunk, items: &items };
        let (one, other) = (slice(chunk(2 * number)), slice(chunk(2 * number + 1)));
        let (one, other) = tokio::join!(sink.offer(one), sink.offer(other));
        Ok(all_done(&one)? + all_done(&other)?)
    })
    .await?;
    let seen = seen(&listen).await?;
    println!("{name}: {offered} offered, {seen:?}");
    let is_whole = seen.requests == offered && seen.wrong == 0;
    ensure!(is_whole && (seen.verified > 0) == is_signed, "{offered} offered, but {seen:?}");
    Ok(rounds)
}

/// A receiver of webhooks that is ready, and where.
pub(crate) async fn receiver(folder: &Scratch) -> Result<(Process, String)> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let (program, arguments) = (std::env::current_exe()?, ["receive", "--listen", &listen]);
    let receiver = Process::start(&program, arguments, &folder.path().join("log"))?;
    answers(&listen).await?;
    Ok((receiver, listen))
}

async fn answers(addr: &str) -> Result<()> {
    let began = Instant::now();
    while tokio::net::TcpStream::connect(addr).await.is_err() {
        ensure!(began.elapsed() < START, "nobody answers on {addr}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

const TABLE: &str = "CREATE TABLE reminder (id char(36) NOT NULL, user_id bigint NOT NULL, \
                     body varchar(200) NOT NULL)";

async fn rows_on_postgres(options: &Options) -> Result<Vec<Round>> {
    let server = Server::start(Settings::from(Engine::Postgres)).await?;
    let login = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(server.addr().port());
    let login = login.database("app").username(ROOT.name).password(ROOT.password);
    let mut connection: PgConnection = login.connect().await?;
    connection.execute(TABLE).await?;
    let sql = "INSERT INTO reminder SELECT item.id, item.recipient::bigint, item.body FROM {items}";
    rows(options, "rows, PostgreSQL", (server.id(), login.get_port()), connection, sql).await
}

async fn rows_on_mariadb(options: &Options) -> Result<Vec<Round>> {
    let server = Server::start(Settings::from(Engine::MariaDb)).await?;
    let login = MySqlConnectOptions::new().host("127.0.0.1").port(server.addr().port());
    let login = login.database("app").username(ROOT.name).password(ROOT.password);
    let mut connection: MySqlConnection = login.connect().await?;
    connection.execute(TABLE).await?;
    let sql = "INSERT INTO reminder SELECT item.id, item.recipient, item.body FROM {items}";
    rows(options, "rows, MariaDB", (server.id(), login.get_port()), connection, sql).await
}

/// A slice, its progress and a commit, one after the other on one connection.
async fn rows<C: Connection>(
    options: &Options,
    name: &str,
    (server, port): (u32, u16),
    mut connection: C,
    sql: &str,
) -> Result<Vec<Round>> {
    send_at_once(port);
    connection.say(progress::create(C::DIALECT)).await?;
    let statement = Statement::parse(C::DIALECT, sql)?;
    let items = items("it is time for the dentist, and for that other thing");
    let (rounds, offered) = measure(options, name, server, async |number| {
        let chunk = chunk(number);
        progress::open(&mut connection, chunk).await?;
        connection.say("BEGIN").await?;
        let fates = put(&mut connection, &statement, Slice { chunk, items: &items }).await?;
        progress::record(&mut connection, chunk, 0..SLICE_MAX as u32).await?;
        connection.say("COMMIT").await?;
        all_done(&fates)
    })
    .await?;
    let count = match C::DIALECT {
        Dialect::Postgres => "SELECT COUNT(*), CAST('' AS bytea) FROM reminder",
        Dialect::MySql => "SELECT COUNT(*), CAST('' AS binary) FROM reminder",
    };
    let there = connection.read(count.into(), &[]).await?.context("no rows")?.0;
    ensure!(there == i64::try_from(offered)?, "{offered} offered, {there} rows are there");
    Ok(rounds)
}

async fn jobs(options: &Options) -> Result<Vec<Round>> {
    let program = Path::new("/usr/bin/redis-server");
    if !program.is_file() {
        println!("note: no {}: jobs are not measured", program.display());
        return Ok(Vec::new());
    }
    let (folder, port) = (Scratch::new()?, free_port()?.to_string());
    let home = folder.path().display().to_string();
    let arguments = ["--bind", "127.0.0.1", "--save", "", "--port", &port, "--dir", &home];
    let server = Process::start(program, arguments, &folder.path().join("log"))?;
    answers(&format!("127.0.0.1:{port}")).await?;
    let url = format!("redis://127.0.0.1:{port}/0");
    let sink = redis::Redis::new(&url, redis::Config::new("reminders", "RemindJob"))?;
    let mut worker = ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let items = items(r#"[1234567, "it is time for the dentist"]"#);
    let (rounds, _) = measure(options, "jobs, Redis", server.id(), async |number| {
        let slice = |chunk| Slice { chunk, items: &items };
        let (one, other) = (slice(chunk(2 * number)), slice(chunk(2 * number + 1)));
        let (one, other) = tokio::join!(sink.offer(one), sink.offer(other));
        // Somebody works them off, or memory would be what is measured.
        let mut work_off = ::redis::pipe();
        work_off.cmd("LLEN").arg("queue:reminders").cmd("UNLINK").arg("queue:reminders");
        let (there, _): (usize, u64) = work_off.query_async(&mut worker).await?;
        let offered = all_done(&one)? + all_done(&other)?;
        ensure!(there == offered, "{offered} offered, {there} jobs are there");
        Ok(offered)
    })
    .await?;
    Ok(rounds)
}
