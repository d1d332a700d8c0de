//! The MySQL codec against what a real server sent, and against what none ever should.

mod captured;
mod properties;
mod replies;
mod walk;
