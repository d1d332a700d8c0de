//! What the tests stand on: real servers, the guard as a child process, and a client that hides
//! nothing. All of it is the drill's; a test needs only `use harness::*`.
//!
//! ```no_run
//! use harness::*;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(Engine::MariaDb).await?;
//! let guard = Guard::start(&server, &Setup::with("[class.default]\nin_flight = 4")).await?;
//! let mut client = Client::login(guard.addr(), &APP).await?;
//! assert_eq!(client.query("SELECT 1").await?.value().as_deref(), Some("1"));
//! # Ok(())
//! # }
//! ```

mod caller;
mod measure;
mod middleman;
mod postgres;
mod wait;

pub use drill::client::{Client, ClientError, Failure, Login, PATIENCE, Packet, Reply, Success};
pub use drill::error::Error;
pub use drill::faults::FaultProxy;
pub use drill::guard::{Answer, Doors, Guard, Setup, program};
pub use drill::home::{Scratch, free_port, state};
pub use drill::load::{Counts, Crowd, Fault, Peer, Target, Timeline, Transaction};
pub use drill::pgbouncer::{self, PgBouncer};
pub use drill::process::Process;
pub use drill::prometheus::{self, Alertmanager, Prometheus};
pub use drill::scheduler::Scheduler;
pub use drill::server::account::{APP, Account, CONTROL, ED25519, MD5, OPEN, OTHER, ROOT, TLS};
pub use drill::server::engine::Engine;
pub use drill::server::mysql::probe::Probe;
pub use drill::server::postgres::probe::Probe as PostgresProbe;
pub use drill::server::probe::{Gauges, Look, Thread};
pub use drill::server::replicated::Replicated;
pub use drill::server::{Server, Settings};
pub use drill::watch::{Sample, Watch};

pub use self::caller::{Caller, Refusal, Told, open_on, shed_code, threads};
pub use self::measure::{
    Open, cpu_time, done, memory_kib, memory_peak_kib, open, pg_open, refused, seconds, status,
};
pub use self::middleman::{Act, MARK, Middleman};
pub use self::postgres::{
    Canceller, PgClient, PgError, PgFailure, PgReply, pg_done, pg_refused, put_series, put_unsynced,
};
pub use self::wait::{Deadline, eventually};
