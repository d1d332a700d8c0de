//! As what a server reads the parameters of a prepared statement.
//!
//! MySQL reads a parameter as what the statement makes it, a column's type in a comparison. When a
//! number or a time comes that this does not suit, it prepares the statement anew with the types of
//! the values at hand, and from then on reads all values so: where `b = ?` was once executed with a
//! number, it compares the texts of later executions as numbers. Rows, warnings and columns then
//! depend on what came before.
//!
//! So on MySQL a statement is shared by those alone whose values have the same types. NULL suits
//! everything, and leaves everything as it is.

/// What a statement was executed with: for each parameter the class of its type.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReadAs(Box<[u8]>);

/// Nothing but NULL.
const NOTHING: u8 = 0;
/// Texts and bytes.
const TEXT: u8 = 8;
/// A value in parts, for which MySQL knows no type.
const SENT_AHEAD: u8 = 9;

impl ReadAs {
    /// Notes an execution with parameters of these types and flags, `None` for NULL.
    pub fn note(&mut self, kinds: impl Iterator<Item = Option<[u8; 2]>>) {
        for (param, kind) in kinds.enumerate() {
            if let Some(kind) = kind {
                self.set(param, class_of(kind));
            }
        }
    }

    /// Notes a value that is sent ahead.
    pub fn note_sent_ahead(&mut self, param: usize) {
        self.set(param, SENT_AHEAD);
    }

    /// Whether a statement that was executed so reads values of these types as a fresh one does.
    pub fn suits(&self, values: &Self) -> bool {
        let of = |param| values.0.get(param).copied().unwrap_or(NOTHING);
        self.0.iter().enumerate().all(|(param, &class)| class == NOTHING || class == of(param))
    }

    fn set(&mut self, param: usize, class: u8) {
        if let Some(known) = self.0.get_mut(param) {
            *known = class;
        } else {
            let mut longer = std::mem::take(&mut self.0).into_vec();
            longer.resize(param, NOTHING);
            longer.push(class);
            self.0 = longer.into_boxed_slice();
        }
    }
}

/// What MySQL makes of a type: the same for all integers, but for their sign, and for both kinds of
/// floating-point numbers.
fn class_of([kind, flags]: [u8; 2]) -> u8 {
    const UNSIGNED: u8 = 0x80;
    const DECIMALS: [u8; 2] = [0, 246];
    const FLOATS: [u8; 2] = [4, 5];
    const DATETIMES: [u8; 2] = [7, 12];
    const DATE: u8 = 10;
    const TIME: u8 = 11;
    const INTEGERS: [u8; 6] = [1, 2, 3, 8, 9, 13];
    match kind {
        _ if INTEGERS.contains(&kind) => 1 + (flags & UNSIGNED) / UNSIGNED,
        _ if DECIMALS.contains(&kind) => 3,
        _ if FLOATS.contains(&kind) => 4,
        _ if DATETIMES.contains(&kind) => 5,
        DATE => 6,
        TIME => 7,
        _ => TEXT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(executions: &[[Option<[u8; 2]>; 2]]) -> ReadAs {
        let mut read_as = ReadAs::default();
        for kinds in executions {
            read_as.note(kinds.iter().copied());
        }
        read_as
    }

    const INTEGER: Option<[u8; 2]> = Some([8, 0]);
    const SMALL: Option<[u8; 2]> = Some([2, 0]);
    const UNSIGNED: Option<[u8; 2]> = Some([8, 0x80]);
    const DOUBLE: Option<[u8; 2]> = Some([5, 0]);
    const STRING: Option<[u8; 2]> = Some([253, 0]);
    const BLOB: Option<[u8; 2]> = Some([252, 0]);

    #[test]
    fn a_fresh_statement_suits_all_values() {
        for values in [after(&[]), after(&[[INTEGER, STRING]]), after(&[[None, DOUBLE]])] {
            assert!(after(&[]).suits(&values));
            assert!(after(&[[None, None]]).suits(&values));
        }
    }

    #[test]
    fn a_statement_suits_values_of_the_types_it_had() {
        let had = after(&[[INTEGER, STRING], [None, BLOB]]);
        assert!(had.suits(&after(&[[SMALL, STRING]])));
        for other in [STRING, None, UNSIGNED, DOUBLE] {
            assert!(!had.suits(&after(&[[other, STRING]])), "{other:?}");
        }
        assert!(!had.suits(&after(&[[INTEGER, DOUBLE]])));
    }

    #[test]
    fn null_leaves_what_its_client_sent_before() {
        let had = after(&[[INTEGER, INTEGER]]);
        assert!(had.suits(&after(&[[INTEGER, INTEGER], [None, None]])));
        assert!(!had.suits(&after(&[[INTEGER, INTEGER], [INTEGER, STRING]])));
    }

    #[test]
    fn what_was_sent_ahead_is_neither_a_text_nor_bytes() {
        let mut read_as = after(&[[INTEGER, None]]);
        read_as.note_sent_ahead(1);
        for other in [STRING, BLOB, None] {
            assert!(!after(&[[INTEGER, STRING]]).suits(&read_as));
            assert!(!read_as.suits(&after(&[[INTEGER, other]])));
        }
        assert!(after(&[[INTEGER, None]]).suits(&read_as));
    }
}
