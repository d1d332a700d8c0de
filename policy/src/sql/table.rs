//! The tables a statement names, found from where names stand, without a grammar.

use super::keyword::Keyword::{self, *};
use super::lexer::{Token, TokenKind};
use super::{Dialect, Span, Table};

/// Most tables that are kept of one text; more are ignored.
pub(super) const TABLES_MAX: usize = 64;
/// Parentheses that are followed inward; tables further in are not found.
const DEPTH_MAX: usize = 128;
/// Names of WITH that are remembered; tables called like later ones are reported.
const CTES_MAX: usize = 32;

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Nothing,
    /// A table, or a `(` that opens a subquery or a join.
    Reference,
    /// A table; a `(` after its name opens a list of columns.
    Target,
}

/// One level of parentheses.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    /// A query stands here, so that its FROM names tables (that of TRIM does not).
    query: bool,
    /// A `,` here is followed by another table.
    list: bool,
    /// The name before the `(`.
    opener: Option<Span>,
}

/// The tables named so far.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    sql: &'a [u8],
    dialect: Dialect,
    frames: Vec<Frame>,
    deeper: usize,
    expect: Expect,
    /// A name that may go on with a dot: what came before the dot, and the name.
    name: Option<(Option<Span>, Option<Span>, Expect)>,
    last_name: Option<Span>,
    distinct: bool,
    with: bool,
    ctes: Vec<Box<str>>,
    found: Vec<Table>,
}

impl<'a> Tables<'a> {
    pub(super) fn new(sql: &'a [u8], dialect: Dialect) -> Self {
        Self {
            sql,
            dialect,
            frames: vec![Frame::default()],
            deeper: 0,
            expect: Expect::Nothing,
            name: None,
            last_name: None,
            distinct: false,
            with: false,
            ctes: Vec::new(),
            found: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> Box<[Table]> {
        self.end_name();
        let ctes = self.ctes;
        self.found.retain(|table| table.schema.is_some() || !ctes.contains(&table.name));
        self.found.into()
    }

    /// A new statement begins.
    pub(super) fn begin(&mut self) {
        self.end_name();
        self.frames.truncate(1);
        self.frames[0] = Frame::default();
        (self.deeper, self.expect, self.distinct) = (0, Expect::Nothing, false);
    }

    /// The statement's FROM names tables.
    pub(super) fn expect_from(&mut self) {
        self.frame().query = true;
    }

    /// The next name is a table; so are those after commas, when there is a `list`.
    pub(super) fn expect_target(&mut self, list: bool) {
        self.expect = Expect::Target;
        self.frame().list = list;
    }

    /// Table references follow, as after UPDATE.
    pub(super) fn expect_references(&mut self) {
        self.expect = Expect::Reference;
        self.frame().list = true;
    }

    /// DELETE FROM a USING a JOIN b; after a join a `(` would follow instead.
    pub(super) fn using(&mut self) {
        self.expect_references();
    }

    fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// The next token; `next` is the one after it.
    pub(super) fn push(&mut self, token: Token, next: Option<TokenKind>) {
        if self.name.is_some() && self.continue_name(token) {
            return;
        }
        let last_name = self.last_name.take();
        match token.kind {
            TokenKind::Sign(b'(') => self.open(last_name),
            TokenKind::Sign(b')') => self.close(),
            TokenKind::Sign(b',') => {
                let list = self.deeper == 0 && self.frame().list;
                self.expect = if list { Expect::Reference } else { Expect::Nothing };
            }
            TokenKind::Keyword(As) => {
                let opens = matches!(
                    next,
                    Some(TokenKind::Sign(b'(') | TokenKind::Keyword(Not | Materialized))
                );
                if let (true, true, Some(name)) = (self.with, opens, last_name)
                    && self.ctes.len() < CTES_MAX
                {
                    self.ctes.push(self.dialect.name(name.of(self.sql)));
                }
            }
            TokenKind::Keyword(keyword) => self.keyword(keyword, token),
            TokenKind::Word | TokenKind::Quoted => {
                self.last_name = Some(token.span);
                self.begin_name(token);
            }
            _ => self.expect = Expect::Nothing,
        }
        self.distinct = token.kind == TokenKind::Keyword(Distinct);
    }

    fn keyword(&mut self, keyword: Keyword, token: Token) {
        match keyword {
            From => {
                if self.frame().query && !self.distinct && self.deeper == 0 {
                    self.expect_references();
                }
            }
            Join | StraightJoin => self.expect = Expect::Reference,
            Select => {
                *self.frame() = Frame { query: true, list: false, ..*self.frame() };
                self.expect = Expect::Nothing;
            }
            Where | Set | Group | Order | Having | Limit | Union | Except | Intersect | For
            | Values | Window | Lock | Procedure | Returning => {
                self.frame().list = false;
                self.expect = Expect::Nothing;
            }
            With => {
                self.with = true;
                self.expect = Expect::Nothing;
            }
            LowPriority | HighPriority | Delayed | Quick | Ignore | Into | Temporary | If | Not
            | Exists | Online | Table | Tables | Concurrent | Local | View | Only | Lateral
            | Concurrently | Materialized | Verbose => {}
            Dual | On | Using | Like | Read | Write | Then => self.expect = Expect::Nothing,
            _ => self.begin_name(token),
        }
    }

    fn begin_name(&mut self, token: Token) {
        if self.expect != Expect::Nothing {
            self.name = Some((None, Some(token.span), self.expect));
            self.expect = Expect::Nothing;
        }
    }

    /// Whether the token belongs to the name.
    fn continue_name(&mut self, token: Token) -> bool {
        match (self.name, token.kind) {
            (Some((_, Some(name), expect)), TokenKind::Sign(b'.')) => {
                self.name = Some((Some(name), None, expect));
                return true;
            }
            (Some((schema, None, expect)), TokenKind::Word | TokenKind::Quoted) => {
                self.name = Some((schema, Some(token.span), expect));
                return true;
            }
            // `JSON_TABLE(…)`: what is called is no table.
            (Some((_, _, Expect::Reference)), TokenKind::Sign(b'(')) => self.name = None,
            _ => self.end_name(),
        }
        false
    }

    fn end_name(&mut self) {
        let Some((schema, Some(name), _)) = self.name.take() else { return };
        let text = |span: Span| self.dialect.name(span.of(self.sql));
        let table = Table { schema: schema.map(text), name: text(name) };
        if self.found.len() < TABLES_MAX && !self.found.contains(&table) {
            self.found.push(table);
        }
    }

    fn open(&mut self, opener: Option<Span>) {
        if self.frames.len() >= DEPTH_MAX {
            self.deeper += 1;
            self.expect = Expect::Nothing;
            return;
        }
        let list = self.expect == Expect::Reference;
        self.frames.push(Frame { query: false, list, opener });
        if !list {
            self.expect = Expect::Nothing;
        }
    }

    fn close(&mut self) {
        self.expect = Expect::Nothing;
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if self.frames.len() > 1 {
            self.last_name = self.frames.pop().and_then(|frame| frame.opener);
        }
    }
}
