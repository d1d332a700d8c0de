//! The Rust drivers as peers of `drivers/peer.py`: one connection each, JSON a line each way.
//!
//! `rust-peer mysql_async|sqlx` reads one [`Request`] after the other from its input and answers each
//! with one [`Reply`], until the input ends.

mod driver;
mod mysql_async;
mod sqlx;

use driver::{Driver, Failure, Open, Reply, Request};
use std::io::{self, BufRead, Write};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("mysql_async") => serve::<mysql_async::Peer>().await,
        Some("sqlx") => serve::<sqlx::Peer>().await,
        other => Err(io::Error::other(format!("no driver {other:?}"))),
    }
}

async fn serve<D: Driver>() -> io::Result<()> {
    let mut driver = None;
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let reply = match (serde_json::from_str(&line?)?, &mut driver) {
            (Request::Open(open), driver) => connect::<D>(&open, driver).await,
            (request, Some(driver)) => obey(driver, request).await,
            (_, None) => Err(Failure::Absent("a connection is opened first".into())),
        };
        let reply = reply.unwrap_or_else(Reply::from);
        serde_json::to_writer(&mut output, &reply)?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

async fn connect<D: Driver>(open: &Open, driver: &mut Option<D>) -> Result<Reply, Failure> {
    *driver = Some(D::open(open).await?);
    Ok(Reply::Done {})
}

async fn obey(driver: &mut impl Driver, request: Request) -> Result<Reply, Failure> {
    let done = |()| Reply::Done {};
    match request {
        Request::Open(_) => Err(Failure::Absent("one connection is enough".into())),
        Request::Run(sql) | Request::RunAll(sql) => driver.run(sql).await.map(Reply::Results),
        Request::Load(sql) => driver.load(sql).await.map(Reply::Results),
        Request::Bind(sql, args) => driver.bind(sql, args).await.map(Reply::Results),
        Request::Stream(sql) => driver.stream(sql).await.map(|rows| Reply::Results(vec![rows])),
        Request::Prepare(sql) => driver.prepare(sql).await.map(Reply::Statement),
        Request::Execute(statement, args) => {
            driver.execute(statement, args).await.map(Reply::Results)
        }
        Request::Close(statement) => driver.close(statement).await.map(done),
        Request::Carry(select, insert, binary) => {
            driver.carry(select, insert, binary).await.map(done)
        }
        Request::Use(database) => driver.select_database(database).await.map(done),
        Request::Ping(()) => driver.ping().await.map(done),
        Request::Reset(()) => driver.reset().await.map(done),
        Request::ChangeUser(user, password, database) => {
            driver.change_user(user, password, database).await.map(done)
        }
    }
}
