//! How often the proxy's thread allocates per statement.
//!
//! The proxy runs alone on a thread of its own, the client on another, the server in another
//! process; allocations are counted by thread, so that nothing but the proxy is in the count. The
//! counting begins when caches, buffers and pool are warm, and ends with the last reply.
//!
//! The guard does things by the clock, too: it looks at the database, folds its metrics, records. So it is
//! counted once more, for as long, while the client says nothing. What is left is the statements' own.
//!
//! The bare forwarder is counted as well: what it shows is the count's own cost and the runtime's.

#[expect(dead_code, reason = "the accept loop runs here without a runtime of its own")]
#[path = "../src/forwarder.rs"]
mod forwarder;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use anyhow::{Context as _, Result, bail};
use drill::server::Server;
use drill::server::account::{APP, CONTROL};
use guard::{
    config::{Address, Config},
    run::Guard,
};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Rounds before and while allocations are counted.
const WARM_UP: u32 = 500;
const ROUNDS: u32 = 20_000;

/// Longest a whole load may take, so that a proxy that hangs ends the bench.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one client sends, round after round.
#[derive(Clone, Copy)]
enum Load {
    /// A `SELECT` by primary key as text, with another key each time.
    Text,
    /// The same, prepared once.
    Binary,
    /// `BEGIN`, a `SELECT`, an `UPDATE`, `COMMIT`.
    Transaction,
}

impl Load {
    const ALL: [(Self, &str, u32); 3] = [
        (Self::Text, "point select, text", 1),
        (Self::Binary, "point select, binary", 1),
        (Self::Transaction, "transaction, text", 4),
    ];

    async fn run(self, client: &mut Conn, rounds: u32) -> Result<()> {
        for round in 0..rounds {
            let id = round % 1_000;
            match self {
                Self::Text => client.query_drop(format!("SELECT c FROM t WHERE id = {id}")).await?,
                Self::Binary => client.exec_drop("SELECT c FROM t WHERE id = ?", (id,)).await?,
                Self::Transaction => {
                    client.query_drop("BEGIN").await?;
                    client.query_drop(format!("SELECT c FROM t WHERE id = {id}")).await?;
                    client.query_drop(format!("UPDATE t SET n = n + 1 WHERE id = {id}")).await?;
                    client.query_drop("COMMIT").await?;
                }
            }
        }
        Ok(())
    }
}

/// Whose allocations are counted.
#[derive(Debug, Clone, Copy)]
enum Proxy {
    Forwarder,
    Guard,
    /// The same without its flight recorder.
    Unrecorded,
}

impl Proxy {
    /// Starts the proxy on the runtime that is entered, and returns where it listens.
    async fn start(self, upstream: SocketAddr) -> Result<SocketAddr> {
        match self {
            Self::Forwarder => {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let address = listener.local_addr()?;
                tokio::spawn(forwarder::accept(listener, upstream));
                Ok(address)
            }
            Self::Guard | Self::Unrecorded => {
                let is_recorded = matches!(self, Self::Guard);
                let text = guard_config(upstream, is_recorded);
                let loaded = Config::parse(Path::new("bench.toml"), &text, &|_| None)?;
                let guard = Guard::start(loaded.config, None).await?;
                let Some(Address::Tcp(address)) = guard.addresses().into_iter().next() else {
                    bail!("no listener");
                };
                tokio::spawn(guard.run(std::future::pending()));
                Ok(address)
            }
        }
    }
}

/// A guard with rules, classes, limits and time limits on.
fn guard_config(upstream: SocketAddr, is_recorded: bool) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[upstream]\naddress = \"{upstream}\"\n\
         [control]\nuser = \"{}\"\npassword = \"{}\"\n[[user]]\nname = \"{}\"\npassword = \"{}\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n[recorder]\nenabled = {is_recorded}\n[overall]\nin_flight = 40\n\
         [class.jobs]\nin_flight = 10\n\
         [[rule]]\nname = \"jobs\"\ntag = {{ job = \"*\" }}\nclass = \"jobs\"\n\
         [[rule]]\nname = \"reports\"\ntable = [\"report_*\"]\nclass = \"jobs\"\n",
        CONTROL.name, CONTROL.password, APP.name, APP.password,
    )
}

fn main() -> Result<()> {
    let runtime = single()?;
    let server = runtime.block_on(prepare())?;
    println!(
        "allocations for each statement; `silent`: in the same time, while the client says nothing"
    );
    println!("| proxy | load | all | silent | the statements' own | bytes |\n|-|-|-:|-:|-:|-:|");
    for proxy in [Proxy::Forwarder, Proxy::Guard, Proxy::Unrecorded] {
        for (load, name, statements) in Load::ALL {
            let [loaded, silent] = count(&runtime, proxy, server.addr(), load)?;
            let each = |value: u64| value as f64 / f64::from(ROUNDS * statements);
            let (all, silent) = (each(loaded.count_total), each(silent.count_total));
            println!(
                "| {proxy:?} | {name} | {all:.4} | {silent:.4} | {:.4} | {:.1} |",
                all - silent,
                each(loaded.bytes_total)
            );
        }
    }
    Ok(())
}

async fn prepare() -> Result<Server> {
    let server = Server::start(drill::server::Settings::default()).await?;
    let mut client = server.connect(&APP).await?;
    client.query_drop("CREATE TABLE t (id INT PRIMARY KEY, n INT, c CHAR(120))").await?;
    client.query_drop("INSERT INTO t SELECT seq, 0, REPEAT('x', 120) FROM seq_0_to_999").await?;
    client.disconnect().await?;
    Ok(server)
}

/// Runs `load` through a proxy in front of `upstream`; yields what the proxy's thread allocated during it, and
/// then in as much time without it.
fn count(
    client_side: &Runtime,
    proxy: Proxy,
    upstream: SocketAddr,
    load: Load,
) -> Result<[AllocationInfo; 2]> {
    let (listening, address) = mpsc::channel();
    let (warm, warmed) = oneshot::channel();
    let (counting, counts) = mpsc::channel();
    let (finish, finished) = oneshot::channel();
    let (wake, woken) = oneshot::channel();

    let counted = thread::spawn(move || -> Result<[AllocationInfo; 2]> {
        let runtime = single()?;
        listening.send(runtime.block_on(proxy.start(upstream))?)?;
        runtime.block_on(warmed)?;
        // Every task of the proxy is polled inside of this call, by this thread.
        Ok([finished, woken].map(|until| {
            allocation_counter::measure(|| {
                let _: Result<(), _> = counting.send(());
                let _: Result<(), _> = runtime.block_on(until);
            })
        }))
    });

    let addr = address.recv().context("the proxy did not start")?;
    let work = async {
        let mut client = Conn::new(APP.options(addr)).await?;
        load.run(&mut client, WARM_UP).await?;
        warm.send(()).ok().context("the proxy is gone")?;
        counts.recv().context("the proxy is gone")?;
        let began = Instant::now();
        load.run(&mut client, ROUNDS).await?;
        let took = began.elapsed();
        finish.send(()).ok().context("the proxy is gone")?;
        counts.recv().context("the proxy is gone")?;
        tokio::time::sleep(took).await;
        wake.send(()).ok().context("the proxy is gone")
    };
    // The timer belongs to the runtime, so it is made inside of it.
    let loaded = client_side.block_on(async { timeout(PATIENCE, work).await });
    loaded.context("no end in time")??;
    counted.join().ok().context("the proxy panicked")?
}

fn single() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}
