//! Sessions by hand: what must not be left to chance, and what once differed.

#[path = "cases/copy.rs"]
mod copy;
#[path = "cases/extended.rs"]
mod extended;
#[path = "cases/held.rs"]
mod held;
#[path = "cases/prepared.rs"]
mod prepared;
#[path = "cases/settings.rs"]
mod settings;
#[path = "cases/simple.rs"]
mod simple;
#[path = "cases/startup.rs"]
mod startup;
#[path = "cases/transactions.rs"]
mod transactions;

use harness::{APP, OTHER};

use super::script::{Step, q};
use super::world::Session;

/// Its name, and what is said.
type Case = (&'static str, Vec<Step>);

/// Every case, from each of the ways by which a session comes to its schema.
pub(crate) fn all() -> Vec<Session> {
    let cases = || {
        [
            simple::cases(),
            extended::cases(),
            prepared::cases(),
            transactions::cases(),
            settings::cases(),
            held::cases(),
            copy::cases(),
        ]
        .into_iter()
        .flatten()
    };
    let by_option = cases().map(|(name, steps)| Session {
        name: name.to_owned(),
        account: APP,
        parameters: vec![("options".to_owned(), "-c search_path=$schema".to_owned())],
        steps,
    });
    let by_parameter = cases().map(|(name, steps)| Session {
        name: name.to_owned(),
        account: OTHER,
        parameters: vec![("search_path".to_owned(), "$schema".to_owned())],
        steps,
    });
    let by_statement = cases().map(|(name, mut steps)| {
        steps.insert(0, q("SET search_path TO $schema"));
        Session { name: name.to_owned(), account: APP, parameters: Vec::new(), steps }
    });
    by_option.chain(by_parameter).chain(by_statement).chain(startup::sessions()).collect()
}
