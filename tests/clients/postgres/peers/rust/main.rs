//! The Rust drivers as peers of `drivers/peer_driver.py`: one connection each, JSON a line each way.
//!
//! `rust-peer-postgres tokio-postgres|sqlx` reads one [`Request`] after the other from its input and
//! answers each with one [`Reply`], until the input ends; a request to cancel is obeyed at once and
//! has no answer.

mod driver;
mod sqlx;
mod tokio_postgres;

use driver::{Driver, Failure, Outcome, Reply, Request};
use std::io::{self, BufRead, Write};
use tokio::sync::mpsc;

type Requests = mpsc::UnboundedReceiver<Request>;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (sender, requests) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let request = serde_json::from_str(&line).expect("the matrix sends requests");
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    match std::env::args().nth(1).as_deref() {
        Some("tokio-postgres") => serve::<tokio_postgres::Peer>(requests).await,
        Some("sqlx") => serve::<sqlx::Peer>(requests).await,
        other => Err(io::Error::other(format!("no driver {other:?}"))),
    }
}

async fn serve<D: Driver>(mut requests: Requests) -> io::Result<()> {
    let mut driver: Option<D> = None;
    let mut canceller = None;
    while let Some(request) = requests.recv().await {
        let outcome = match (request, &mut driver) {
            (Request::Cancel(()), _) => {
                cancel(canceller.as_ref()).await;
                continue;
            }
            (Request::Open(open), driver) => match D::open(&open).await {
                Ok(opened) => {
                    canceller = opened.canceller();
                    *driver = Some(opened);
                    Ok(Reply::Done {})
                }
                Err(failure) => Err(failure),
            },
            (request, Some(driver)) => {
                let mut work = std::pin::pin!(obey(driver, request));
                loop {
                    tokio::select! {
                        outcome = &mut work => break outcome,
                        // The matrix asks for nothing else before it has an answer.
                        Some(_cancel) = requests.recv() => cancel(canceller.as_ref()).await,
                    }
                }
            }
            (_, None) => Err(Failure::Absent("a connection is opened first".into())),
        };
        let mut output = io::stdout().lock();
        serde_json::to_writer(&mut output, &outcome.unwrap_or_else(Reply::from))?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

async fn cancel(canceller: Option<&::tokio_postgres::CancelToken>) {
    if let Some(canceller) = canceller
        && let Err(error) = canceller.cancel_query(::tokio_postgres::NoTls).await
    {
        eprintln!("cancel: {error}");
    }
}

async fn obey(driver: &mut impl Driver, request: Request) -> Outcome<Reply> {
    let done = |()| Reply::Done {};
    let one = |part| Reply::Results(vec![part]);
    match request {
        Request::Open(_) | Request::Cancel(()) => Err(Failure::Absent("not now".into())),
        Request::Run(sql) | Request::RunAll(sql) => driver.run(sql).await.map(Reply::Results),
        Request::Bind(sql, args) => driver.bind(sql, args).await.map(one),
        Request::Stream(sql) => driver.stream(sql).await.map(one),
        Request::Prepare(sql) => driver.prepare(sql).await.map(Reply::Statement),
        Request::Execute(statement, args) => driver.execute(statement, args).await.map(one),
        Request::Close(statement) => driver.close(statement).await.map(done),
        Request::Carry(select, insert, binary) => {
            driver.carry(select, insert, binary).await.map(done)
        }
        Request::Pipeline(statements) => driver.pipeline(statements).await.map(Reply::Results),
        Request::CopyIn(sql, data) => driver.copy_in(sql, data).await.map(done),
        Request::CopyOut(sql) => driver.copy_out(sql).await.map(Reply::Copied),
        Request::Listen(channel) => driver.listen(channel).await.map(done),
        Request::Abandon(sql) => driver.abandon(sql).await.map(done),
        Request::Pooled(size, tasks, at_once) => {
            driver.pooled(size, tasks, at_once).await.map(Reply::Results)
        }
        Request::Notification(()) => {
            driver.notification().await.map(|(channel, payload)| Reply::Notified(channel, payload))
        }
    }
}
