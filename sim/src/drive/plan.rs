//! What a transaction will do, by dice.

use crate::clock::Dice;
use crate::database::{Plan, Statement};
use crate::scenario::{Scenario, Template};

/// Draws transactions from the mix.
pub(super) struct Planner<'a> {
    scenario: &'a Scenario,
}

impl<'a> Planner<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self { scenario }
    }

    /// A template of those that are in the mix at this second.
    pub(super) fn template(&self, dice: &mut Dice, at: f64) -> usize {
        let weight = |template: &Template| {
            let is_in = template.during.is_none_or(|[from, to]| at >= from && at < to);
            if is_in { template.weight } else { 0.0 }
        };
        let all: f64 = self.scenario.mix.iter().map(weight).sum();
        let mut left = dice.unit() * all;
        for (index, template) in self.scenario.mix.iter().enumerate() {
            left -= weight(template);
            if left < 0.0 {
                return index;
            }
        }
        0
    }

    pub(super) fn plan(&self, dice: &mut Dice, template: usize, connects: bool) -> Plan {
        let of = &self.scenario.mix[template];
        let mut rows: Vec<u32> = (0..of.writes).map(|_| row(dice, of)).collect();
        if of.is_ordered {
            rows.sort_unstable();
        }
        let reads = of.statements.max(1).saturating_sub(of.writes) as usize;
        let statements = (0..of.statements.max(1) as usize).map(|step| Statement {
            cpu: dice.exponential(of.cpu_ms / 1000.0),
            disk: if of.disk_ms > 0.0 { dice.exponential(of.disk_ms / 1000.0) } else { 0.0 },
            row: step.checked_sub(reads).and_then(|write| rows.get(write)).copied(),
        });
        Plan {
            statements: statements.collect(),
            think: of.think_ms / 1000.0,
            hold: 0.0,
            is_idle_holder: false,
            connect: if connects { self.scenario.database.connect_ms / 1000.0 } else { 0.0 },
        }
    }
}

fn row(dice: &mut Dice, of: &Template) -> u32 {
    let hot = of.hot_rows.min(of.rows);
    let place = if hot > 0 && dice.unit() < of.hot {
        dice.below(u64::from(hot)) as u32
    } else {
        hot + dice.below(u64::from(of.rows.max(hot + 1) - hot)) as u32
    };
    of.first_row + place
}

/// A transaction that takes these rows and keeps them.
pub(super) fn holder(hold: f64, first_row: u32, rows: u32, is_idle: bool) -> Plan {
    let statement = |row| Statement { cpu: 0.0005, disk: 0.0, row: Some(first_row + row) };
    Plan {
        statements: (0..rows.max(1)).map(statement).collect(),
        think: 0.0,
        hold,
        is_idle_holder: is_idle,
        connect: 0.0,
    }
}
