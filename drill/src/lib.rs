//! Fire drills: private database servers, the guard in front of them, storms of clients, and what
//! the server says of itself meanwhile. Used by `tidegate demo`, the tests and the benches.
//!
//! Everything here listens on loopback, lives in a temporary folder and ends with the process that
//! started it, also when that one panics or is killed.

pub mod server;

pub mod guard;

pub mod scheduler;

mod http;

pub mod pgbouncer;

pub mod prometheus;

pub mod faults;

pub mod client;

pub mod load;

pub mod watch;

pub mod way;

pub mod demo;

pub mod tipping;

pub mod holder;

pub mod hotrow;

pub mod herd;

pub mod mixshift;

pub mod zombie;

pub mod sicklag;

pub mod stampede;

pub mod sheet;

pub mod record;

pub mod screen;

pub mod process;

mod unprivileged;

pub mod home;

pub mod error;

pub use error::Error;
pub use screen::Screen;
