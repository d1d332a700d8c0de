//! Whether a name before a parenthesis may be a function of the user's own: such code can change the
//! session, and not every reply tells so. A name that is missing from a list costs a question to the
//! server and nothing else.

pub(super) mod mysql;
pub(super) mod postgres;
