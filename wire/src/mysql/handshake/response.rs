use super::{
    BufMut, BytesMut, Capabilities, ConnectAttributes, Malformed, Reader, halves, joined,
    put_lenenc_bytes, put_nul_bytes, write_packet,
};

/// Bytes of an [`SslRequest`], and of the head that a [`HandshakeResponse`] has in common with it.
const HEAD_LEN: usize = 32;

/// The client's first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening<'a> {
    /// TLS starts right behind; then the response comes.
    Ssl(SslRequest),
    /// The client logs in as things are.
    Response(HandshakeResponse<'a>),
}

impl<'a> Opening<'a> {
    /// Reads the payload of the client's first packet.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("handshake response", payload);
        let head = SslRequest::read(&mut reader)?;
        if head.capabilities.contains(Capabilities::SSL) && reader.is_empty() {
            return Ok(Self::Ssl(head));
        }
        HandshakeResponse::read(head, reader).map(Self::Response)
    }
}

/// The client's wish to go on by TLS.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_ssl_request.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SslRequest {
    /// What the client can do and wants; with `SSL` in it.
    pub capabilities: Capabilities,
    /// The longest packet the client takes, in bytes; advisory.
    pub max_packet: u32,
    /// The client's collation.
    pub charset: u8,
}

impl SslRequest {
    /// Appends the packet. Returns the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        write_packet(out, seq, |out| self.put_head(out))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut ahead = *reader;
        if !joined(ahead.u16()?.into(), 0).contains(Capabilities::PROTOCOL_41) {
            return Err(reader.err("older than the protocol of 4.1"));
        }
        let common = reader.u32()?;
        let max_packet = reader.u32()?;
        let charset = reader.u8()?;
        reader.skip(19)?;
        let filler = reader.u32()?;
        let mariadb = !joined(common, 0).contains(Capabilities::LONG_PASSWORD);
        let capabilities = joined(common, if mariadb { filler } else { 0 });
        debug_assert_eq!(reader.position(), HEAD_LEN, "the head has a fixed length");
        Ok(Self { capabilities, max_packet, charset })
    }

    fn put_head(&self, out: &mut BytesMut) {
        let (common, extended) = halves(self.capabilities);
        let mariadb = !self.capabilities.contains(Capabilities::LONG_PASSWORD);
        out.put_u32_le(common);
        out.put_u32_le(self.max_packet);
        out.put_u8(self.charset);
        out.put_bytes(0, 19);
        out.put_u32_le(if mariadb { extended } else { 0 });
    }
}

/// Who the client is and what it can do.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeResponse<'a> {
    /// What the client can do and wants. Without `LONG_PASSWORD` it may use MariaDB's bits.
    pub capabilities: Capabilities,
    /// The longest packet the client takes, in bytes; advisory.
    pub max_packet: u32,
    /// The client's collation.
    pub charset: u8,
    /// Who wants to log in.
    pub user: &'a [u8],
    /// The proof, in the manner of `plugin`; empty for an empty password, or if the client wants to
    /// be asked first.
    pub auth: &'a [u8],
    /// The database to begin in, if `CONNECT_WITH_DB` is set.
    pub database: Option<&'a [u8]>,
    /// The plugin that made `auth`; `None` if the client does not know of plugins.
    pub plugin: Option<&'a [u8]>,
    /// What the client says about itself; empty without `CONNECT_ATTRS`.
    pub attributes: ConnectAttributes<'a>,
}

impl<'a> HandshakeResponse<'a> {
    /// Appends the packet. Fields whose capability is not set are left out; `auth` is cut at 255
    /// bytes unless `PLUGIN_AUTH_LENENC_CLIENT_DATA` is set. Returns the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        let has = |capability| self.capabilities.contains(capability);
        write_packet(out, seq, |out| {
            SslRequest {
                capabilities: self.capabilities,
                max_packet: self.max_packet,
                charset: self.charset,
            }
            .put_head(out);
            put_nul_bytes(out, self.user);
            if has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
                put_lenenc_bytes(out, self.auth);
            } else {
                let len = u8::try_from(self.auth.len()).unwrap_or(u8::MAX);
                out.put_u8(len);
                out.put_slice(&self.auth[..usize::from(len)]);
            }
            if has(Capabilities::CONNECT_WITH_DB) {
                put_nul_bytes(out, self.database.unwrap_or_default());
            }
            if has(Capabilities::PLUGIN_AUTH) {
                put_nul_bytes(out, self.plugin.unwrap_or_default());
            }
            if has(Capabilities::CONNECT_ATTRS) {
                self.attributes.put(out);
            }
        })
    }

    fn read(head: SslRequest, mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let SslRequest { capabilities, max_packet, charset } = head;
        let has = |capability| capabilities.contains(capability);
        let user = reader.nul_bytes()?;
        let auth = if has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            reader.lenenc_bytes()?
        } else if has(Capabilities::SECURE_CONNECTION) {
            let len = reader.u8()?.into();
            reader.bytes(len)?
        } else {
            reader.nul_bytes()?
        };
        let database =
            has(Capabilities::CONNECT_WITH_DB).then(|| reader.nul_bytes()).transpose()?;
        // Servers take a name without its NUL at the end of the packet, and some clients send one.
        let plugin = has(Capabilities::PLUGIN_AUTH)
            .then(|| reader.nul_bytes().unwrap_or_else(|_| reader.rest()));
        let attributes = match has(Capabilities::CONNECT_ATTRS) && !reader.is_empty() {
            true => ConnectAttributes::read(&mut reader)?,
            false => ConnectAttributes::default(),
        };
        Ok(Self { capabilities, max_packet, charset, user, auth, database, plugin, attributes })
    }
}
