//! Bad input, in either protocol: a clear error or a clean close each time, no panic, nothing left
//! behind, and nobody else is affected. `TG_SEED` plays other bytes, `TG_ROUNDS` more of them.

#[path = "bad_input/chance.rs"]
mod chance;
#[path = "bad_input/mysql.rs"]
mod mysql;
#[path = "bad_input/postgres.rs"]
mod postgres;
#[path = "bad_input/scene.rs"]
mod scene;
