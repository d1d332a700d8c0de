use super::{
    BufMut, BytesMut, Capabilities, Malformed, Reader, SCRAMBLE_LEN, Scramble, halves, joined,
    put_nul_bytes, write_packet,
};

/// The only version there is of the handshake.
const PROTOCOL_VERSION: u8 = 10;

/// The scramble's first part stands before the capabilities, for the sake of old clients.
const FIRST_PART: usize = 8;

/// The server's first packet.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The server's version, such as `8.4.0` or `5.5.5-10.11.6-MariaDB`.
    pub version: &'a [u8],
    /// The id that `CONNECTION_ID()` gives and `KILL` takes.
    pub connection_id: u32,
    /// The challenge for `plugin`. Longer challenges come with a switch to their plugin only.
    pub scramble: Scramble,
    /// What the server can do. A MariaDB server lacks `LONG_PASSWORD` and uses bits 32 and up.
    pub capabilities: Capabilities,
    /// The server's default collation; those above 255 are cut off.
    pub charset: u8,
    /// The session's status flags.
    pub status: u16,
    /// The plugin of the scramble; empty if the server does not know of plugins.
    pub plugin: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Reads the payload of the server's first packet.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("greeting", payload);
        if reader.u8()? != PROTOCOL_VERSION {
            return Err(reader.err("not version 10 of the protocol"));
        }
        let version = reader.nul_bytes()?;
        let connection_id = reader.u32()?;
        let first = reader.bytes(FIRST_PART)?;
        reader.skip(1)?;
        let low = reader.u16()?;
        let charset = reader.u8()?;
        let status = reader.u16()?;
        let high = reader.u16()?;
        let common = u32::from(high) << 16 | u32::from(low);
        let scramble_len = usize::from(reader.u8()?);
        reader.skip(6)?;
        let filler = reader.u32()?;
        let mariadb = !joined(common, 0).contains(Capabilities::LONG_PASSWORD);
        let capabilities = joined(common, if mariadb { filler } else { 0 });
        if !capabilities.contains(Capabilities::SECURE_CONNECTION) {
            return Err(reader.err("older than the authentication of 4.1"));
        }
        // The manual: the second part is as long as max(13, length - 8), its NUL included.
        let second = reader.bytes(scramble_len.saturating_sub(FIRST_PART).max(13))?;
        let mut scramble = [0; SCRAMBLE_LEN];
        scramble[..FIRST_PART].copy_from_slice(first);
        scramble[FIRST_PART..].copy_from_slice(&second[..SCRAMBLE_LEN - FIRST_PART]);
        let plugin = match capabilities.contains(Capabilities::PLUGIN_AUTH) {
            // Servers before 5.5.10 forgot the NUL.
            true => reader.nul_bytes().unwrap_or_else(|_| reader.rest()),
            false => b"",
        };
        Ok(Self { version, connection_id, scramble, capabilities, charset, status, plugin })
    }

    /// Whether the server is MariaDB.
    pub fn is_mariadb(&self) -> bool {
        !self.capabilities.contains(Capabilities::LONG_PASSWORD)
            || self.version.windows(7).any(|part| part == b"MariaDB")
    }

    /// Appends the packet, with sequence id 0. Returns the next one.
    pub fn put(&self, out: &mut BytesMut) -> u8 {
        let (common, extended) = halves(self.capabilities);
        let [a, b, c, d] = common.to_le_bytes();
        let mariadb = !self.capabilities.contains(Capabilities::LONG_PASSWORD);
        write_packet(out, 0, |out| {
            out.put_u8(PROTOCOL_VERSION);
            put_nul_bytes(out, self.version);
            out.put_u32_le(self.connection_id);
            out.put_slice(&self.scramble[..FIRST_PART]);
            out.put_u8(0);
            out.put_slice(&[a, b]);
            out.put_u8(self.charset);
            out.put_u16_le(self.status);
            out.put_slice(&[c, d]);
            out.put_u8(SCRAMBLE_LEN as u8 + 1);
            out.put_bytes(0, 6);
            out.put_u32_le(if mariadb { extended } else { 0 });
            out.put_slice(&self.scramble[FIRST_PART..]);
            out.put_u8(0);
            if self.capabilities.contains(Capabilities::PLUGIN_AUTH) {
                put_nul_bytes(out, self.plugin);
            }
        })
    }
}
