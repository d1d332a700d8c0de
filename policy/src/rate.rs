//! Rates: at most so many a second, on the time that is passed.
