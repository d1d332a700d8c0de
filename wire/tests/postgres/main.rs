//! The PostgreSQL codec against what a real server sent, and against what none ever should.

mod captured;
mod model;
mod properties;
mod replies;
mod scripted;
mod walk;
