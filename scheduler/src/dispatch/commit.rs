//! Items whose effect is in the ledger's own database: it is committed together with the progress, or
//! neither is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::holder::{Gone, Holder};
use super::outlet::Target;
use crate::ledger::{Claim, Effect, LedgerError, Parameter};
use crate::sink::sql::{Statement, Value, is_about_values, words};
use crate::sink::{Fate, Item, Reason};

/// From the beginning of one commit to the next, within these: a transaction is not made for each item, and none
/// goes much later than its moment.
const EVERY: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(50));
/// So many times as long as a commit took: the database has the rest of the time for others.
const APART: u32 = 5;

impl Holder {
    /// Commits what is due. What the database refuses because of an item is halved until that is found.
    pub(super) async fn commit(&mut self) -> Result<(), Gone> {
        let ready = self.ready(self.position());
        if ready.is_empty() {
            return Ok(());
        }
        let outlet = Arc::clone(&self.outlet);
        let Target::Ledger(statement) = outlet.target() else { return Ok(()) };
        let began = Instant::now();
        let mut parts = vec![self.items(&ready)];
        while let Some(mut part) = parts.pop() {
            let Err(error) = self.commit_part(statement, &part).await? else { continue };
            if !is_about_values(&error) {
                let why = Reason::Refused(words(&error));
                warn!(%why, "the database does not take items; they are tried again");
                let fate = Fate::Retry { asked: None, why };
                self.judge(&part, vec![fate; part.len()])?;
            } else if part.len() == 1 {
                self.judge(&part, vec![Fate::Dead(Reason::Refused(words(&error)))])?;
            } else {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            }
        }
        let took = began.elapsed();
        tokio::time::sleep((APART * took).clamp(EVERY.0, EVERY.1).saturating_sub(took)).await;
        Ok(())
    }

    /// Commits these items, or none of them. The error within is the database's, about what it was given.
    async fn commit_part(
        &mut self,
        statement: &Statement,
        part: &[Item],
    ) -> Result<Result<(), sqlx::Error>, Gone> {
        let before = self.claim.progress.clone();
        let fates: Vec<Fate> = part
            .iter()
            .map(|item| match statement.fits(item) {
                _ if item.is_expired(self.dispatcher.time()) => Fate::Dead(Reason::Expired),
                Ok(()) => Fate::Done,
                Err(why) => Fate::Dead(why),
            })
            .collect();
        let fit: Vec<&Item> = part
            .iter()
            .zip(&fates)
            .filter_map(|(item, fate)| (*fate == Fate::Done).then_some(item))
            .collect();
        let effects = match fit.as_slice() {
            [] => Vec::new(),
            fit => effects(statement.rendered(self.chunk(), fit)),
        };
        let dice = || fastrand::u64(..);
        let (time, rules) = (self.dispatcher.time(), *self.outlet.afterwards());
        let settled = super::settle::settle(&rules, &mut self.claim, (part, fates), time, dice);
        let Claim { lease, progress, .. } = &mut self.claim;
        let written = self.dispatcher.ledger().flush_with(lease, progress, &effects).await;
        self.outlet.metrics().flushes.increment(1);
        match written {
            Ok(()) => {
                self.outlet.metrics().settled(&settled);
                Ok(Ok(()))
            }
            // What was refused was rolled back.
            Err(LedgerError::Refusing(error)) => {
                self.claim.progress = before;
                Ok(Err(error))
            }
            Err(LedgerError::Busy(error)) => {
                warn!(%error, "others hold what items need; they are tried again");
                self.claim.progress = before;
                Ok(Ok(()))
            }
            // Whether it was committed is what the ledger knows, and we do not.
            Err(error) => {
                self.dispatcher.metrics().failures.increment(1);
                warn!(%error, "a chunk is let go of: the ledger knows what is done");
                Err(Gone::Lost)
            }
        }
    }
}

fn effects(rendered: Vec<crate::sink::sql::Rendered>) -> Vec<Effect> {
    let parameter = |value| match value {
        Value::Int(value) => Parameter::Int(value),
        Value::Text(value) => Parameter::Text(value),
        Value::Bytes(value) => Parameter::Bytes(value),
    };
    rendered
        .into_iter()
        .map(|rendered| Effect {
            sql: rendered.sql.to_string(),
            values: rendered.values.into_iter().map(parameter).collect(),
        })
        .collect()
}
