//! Every decision of Tidegate, pure.
//!
//! The guard asks, this crate answers: what kind of statement is this, whose limits does it share,
//! may it run now, must it wait, is it refused, when is its time up. There is no I/O, no clock, no
//! thread, no log and no wire protocol in here; `now` is an argument, waiting is a returned
//! deadline, and effects are returned events. `clippy.toml` enforces it.
//!
//! The modules stand in the order in which a statement meets them.

pub mod sql;
pub mod tag;

pub mod class;
pub mod rule;
pub mod switch;
pub mod tenant;

pub mod admission;
pub mod contention;
pub mod ddl;
pub mod deadline;
pub mod herd;
pub mod hot;
pub mod limit;
pub mod melt;
pub mod pressure;
pub mod rate;
pub mod replica;
pub mod restraint;
pub mod retry;
pub mod trigger;

pub mod locks;
pub mod refusal;

pub mod spread;

pub mod dispatch;

#[cfg(test)]
mod tests {
    /// `clippy.toml` bans clocks, threads and output; this bans what could bring them along.
    #[test]
    fn invariant_1_policy_knows_neither_wire_nor_io() {
        let manifest = include_str!("../Cargo.toml");
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        for banned in ["tokio", "wire", "tracing", "log", "mio", "socket2", "serde"] {
            let named = |line: &str| line.split(['.', ' ', '=']).next() == Some(banned);
            assert!(!dependencies.lines().any(named), "{banned}");
        }
        let clippy = include_str!("../clippy.toml");
        for method in ["Instant::now", "SystemTime::now", "thread::sleep", "thread::spawn"] {
            assert!(clippy.contains(method), "{method}");
        }
    }
}
