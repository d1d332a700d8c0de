use crate::{Malformed, Reader};

/// How many parameters a client may send. Drivers send fewer than ten; the server's own bound is
/// the packet's length. More are refused.
pub const PARAMETERS_MAX: usize = 128;

/// The parameters of a StartupMessage: an iterator over name and value.
#[derive(Debug, Clone)]
pub struct Parameters<'a> {
    pairs: Reader<'a>,
}

impl<'a> Parameters<'a> {
    /// Options of the protocol itself start so. A server lists those that it does not know in a
    /// NegotiateProtocolVersion.
    pub const PROTOCOL_PREFIX: &'static [u8] = b"_pq_.";

    /// The value of `name`, if the client sent it.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.clone().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// The names of all options of the protocol.
    pub fn protocol_options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.clone().map(|(name, _)| name).filter(|name| name.starts_with(Self::PROTOCOL_PREFIX))
    }

    /// Reads up to the NUL in the place of a name that ends the list.
    ///
    /// The server takes the last of two values for one name. Whoever looks for the first would be
    /// deceived, so both together are refused.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let parameters = Self { pairs: *reader };
        let mut seen = 0;
        while reader.peek_u8() != Some(0) {
            let at = *reader;
            let name = reader.nul_bytes()?;
            reader.nul_bytes()?;
            if parameters.clone().take(seen).any(|(earlier, _)| earlier == name) {
                return Err(at.err("a parameter comes twice"));
            }
            seen += 1;
            if seen > PARAMETERS_MAX {
                return Err(at.err("too many parameters"));
            }
        }
        reader.skip(1)?;
        Ok(parameters)
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.pairs.nul_bytes().ok().filter(|name| !name.is_empty());
        let Some(name) = name else {
            self.pairs.rest();
            return None;
        };
        Some((name, self.pairs.nul_bytes().ok()?))
    }
}

impl PartialEq for Parameters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}

impl Eq for Parameters<'_> {}
