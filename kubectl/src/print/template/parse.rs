//! Reading templates. Upstream: Go's `text/template/parse`.

use super::lex::{self, Kind, Token};
use super::{Branch, Node, Pipe, SyntaxError, Term, TermKind, Val, functions, position};
use apimachinery::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Blocks in blocks and parentheses in parentheses.
const MAX_DEPTH: usize = 100;

type Defined = BTreeMap<String, Vec<Node>>;

/// Reads a template and those that it defines.
pub(super) fn template(source: &str) -> Result<(Vec<Node>, Defined), SyntaxError> {
    let mut parser = Parser {
        source,
        pieces: pieces(source)?,
        next: 0,
        defined: Defined::new(),
        variables: vec!["$".into()],
        depth: 0,
        loops: 0,
    };
    let (body, end) = parser.block()?;
    match end {
        End::File => Ok((body, parser.defined)),
        End::Block(at) => Err(parser.fail(at, "unexpected {{end}}")),
        End::Else(at, _) => Err(parser.fail(at, "unexpected {{else}}")),
    }
}

/// Text or the words of an action.
enum Piece {
    Text(String),
    Action { tokens: Vec<Token>, at: usize },
}

/// What ended a block.
enum End {
    File,
    Block(usize),
    /// With the words behind `else`.
    Else(usize, Vec<Token>),
}

fn error(source: &str, at: usize, what: impl Into<String>) -> SyntaxError {
    SyntaxError { line: position(source, at).0, what: what.into() }
}

/// Splits a template at its braces and trims text where a `-` says so.
fn pieces(source: &str) -> Result<Vec<Piece>, SyntaxError> {
    let blank: &[char] = &[' ', '\t', '\r', '\n'];
    let (mut pieces, mut at, mut trim) = (Vec::new(), 0, false);
    loop {
        let open = source[at..].find("{{").map(|i| at + i);
        let text = &source[at..open.unwrap_or(source.len())];
        let text = if trim { text.trim_start_matches(blank) } else { text };
        let Some(open) = open else {
            pieces.push(Piece::Text(text.to_owned()));
            return Ok(pieces);
        };
        let mut start = open + 2;
        let trims_left = source[start..].starts_with('-') && source[start + 1..].starts_with(blank);
        let text = if trims_left { text.trim_end_matches(blank) } else { text };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        start += usize::from(trims_left);
        let comment_at = start + (source[start..].len() - source[start..].trim_start_matches(blank).len());
        if source[comment_at..].starts_with("/*") && (comment_at == start || trims_left) {
            (at, trim) = comment(source, comment_at)?;
            continue;
        }
        let close = action_end(source, start).ok_or_else(|| error(source, open, "unclosed action"))?;
        let inside = &source[start..close];
        trim = inside.ends_with('-') && inside[..inside.len() - 1].ends_with(blank);
        let inside = if trim { &inside[..inside.len() - 1] } else { inside };
        let tokens = lex::tokens(inside, start).map_err(|what| error(source, start, what))?;
        pieces.push(Piece::Action { tokens, at: open });
        at = close + 2;
    }
}

/// Where the text behind a comment starts, and whether it is trimmed.
fn comment(source: &str, at: usize) -> Result<(usize, bool), SyntaxError> {
    let end = source[at..].find("*/").ok_or_else(|| error(source, at, "unclosed comment"))?;
    let rest = &source[at + end + 2..];
    let after = source.len() - rest.len();
    let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    match (rest.starts_with("}}"), trimmed.starts_with("-}}") && trimmed.len() < rest.len()) {
        (true, _) => Ok((after + 2, false)),
        (_, true) => Ok((source.len() - trimmed.len() + 3, true)),
        _ => Err(error(source, at, "comment ends before closing delimiter")),
    }
}

/// The closing braces that are in no quotes.
fn action_end(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let c = source[at..].chars().next()?;
        at += match c {
            '"' | '\'' => lex::quote_end(&source[at..], c)?,
            '`' => source[at + 1..].find('`')? + 2,
            '}' if source[at..].starts_with("}}") => return Some(at),
            c => c.len_utf8(),
        };
    }
}

struct Parser<'a> {
    source: &'a str,
    pieces: Vec<Piece>,
    next: usize,
    defined: Defined,
    /// Those that are in scope.
    variables: Vec<String>,
    depth: usize,
    loops: usize,
}

impl Parser<'_> {
    fn fail(&self, at: usize, what: impl Into<String>) -> SyntaxError {
        error(self.source, at, what)
    }

    /// Nodes up to `end`, `else` or the end of the template.
    fn block(&mut self) -> Result<(Vec<Node>, End), SyntaxError> {
        let mut nodes = Vec::new();
        self.depth += 1;
        while let Some(piece) = self.pieces.get_mut(self.next) {
            self.next += 1;
            let (tokens, at) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(std::mem::take(text)));
                    continue;
                }
                Piece::Action { tokens, at } => (std::mem::take(tokens), *at),
            };
            if self.depth > MAX_DEPTH {
                return Err(self.fail(at, "too many nested blocks"));
            }
            let words: Vec<&Token> = tokens.iter().filter(|t| t.kind != Kind::Space).collect();
            let keyword = match words.first().map(|t| &t.kind) {
                Some(Kind::Word(word)) => word.clone(),
                Some(_) => String::new(),
                None => return Err(self.fail(at, "missing value for command")),
            };
            let rest = after_first_word(&tokens);
            match keyword.as_str() {
                "end" => return Ok(self.leave(nodes, End::Block(at))),
                "else" => return Ok(self.leave(nodes, End::Else(at, rest.to_vec()))),
                "define" => self.define(rest, at)?,
                _ => {
                    let node = self.node(&keyword, rest, &tokens, at)?;
                    nodes.push(node);
                }
            }
        }
        Ok(self.leave(nodes, End::File))
    }

    fn leave(&mut self, nodes: Vec<Node>, end: End) -> (Vec<Node>, End) {
        self.depth -= 1;
        (nodes, end)
    }

    fn node(&mut self, keyword: &str, rest: &[Token], all: &[Token], at: usize) -> Result<Node, SyntaxError> {
        match keyword {
            "if" => Ok(Node::If(self.branch("if", rest, at)?)),
            "with" => Ok(Node::With(self.branch("with", rest, at)?)),
            "range" => {
                self.loops += 1;
                let branch = self.branch("range", rest, at)?;
                self.loops -= 1;
                Ok(Node::Range(branch))
            }
            "break" | "continue" if self.loops == 0 => {
                Err(self.fail(at, format!("{{{{{keyword}}}}} outside {{{{range}}}}")))
            }
            "break" => Ok(Node::Break),
            "continue" => Ok(Node::Continue),
            "template" => self.call(rest, at),
            "block" => {
                let call = self.call(rest, at)?;
                if let Node::Template { name, .. } = &call {
                    let body = self.definition(at)?;
                    self.defined.insert(name.clone(), body);
                }
                Ok(call)
            }
            _ => Ok(Node::Action(self.pipe(all, at, "command")?)),
        }
    }

    fn branch(&mut self, keyword: &'static str, rest: &[Token], at: usize) -> Result<Branch, SyntaxError> {
        let scope = self.variables.len();
        let pipe = self.pipe(rest, at, keyword)?;
        let (then, end) = self.block()?;
        let otherwise = match end {
            End::File => return Err(self.fail(self.source.len(), "unexpected EOF")),
            End::Block(_) => Vec::new(),
            End::Else(at, words) => self.otherwise(keyword, &words, at)?,
        };
        self.variables.truncate(scope);
        Ok(Branch { pipe, then, otherwise })
    }

    /// What stands behind `else`: a block, or a branch of the same kind.
    fn otherwise(&mut self, keyword: &str, words: &[Token], at: usize) -> Result<Vec<Node>, SyntaxError> {
        match words.iter().find(|t| t.kind != Kind::Space).map(|t| &t.kind) {
            None => match self.block()? {
                (nodes, End::Block(_)) => Ok(nodes),
                (_, End::Else(at, _)) => Err(self.fail(at, "expected end; found {{else}}")),
                (_, End::File) => Err(self.fail(self.source.len(), "unexpected EOF")),
            },
            Some(Kind::Word(word)) if word == keyword && keyword != "range" => {
                if self.depth > MAX_DEPTH {
                    return Err(self.fail(at, "too many nested blocks"));
                }
                self.depth += 1;
                let node = self.node(keyword, after_first_word(words), words, at)?;
                self.depth -= 1;
                Ok(vec![node])
            }
            Some(_) => Err(self.fail(at, "unexpected word in else")),
        }
    }

    /// `template NAME PIPE`.
    fn call(&mut self, rest: &[Token], at: usize) -> Result<Node, SyntaxError> {
        let name = rest.iter().position(|t| t.kind != Kind::Space);
        let Some((name_at, Kind::Text(name))) = name.map(|i| (i, &rest[i].kind)) else {
            return Err(self.fail(at, "missing template name"));
        };
        let words = &rest[name_at + 1..];
        let pipe = match words.iter().any(|t| t.kind != Kind::Space) {
            true => Some(self.pipe(words, at, "template clause")?),
            false => None,
        };
        Ok(Node::Template { name: name.clone(), pipe })
    }

    fn define(&mut self, rest: &[Token], at: usize) -> Result<(), SyntaxError> {
        if self.depth > 1 {
            return Err(self.fail(at, "unexpected {{define}}"));
        }
        let Some(Kind::Text(name)) = rest.iter().find(|t| t.kind != Kind::Space).map(|t| t.kind.clone()) else {
            return Err(self.fail(at, "missing name in define clause"));
        };
        let body = self.definition(at)?;
        self.defined.insert(name, body);
        Ok(())
    }

    /// The body of a template of its own, which sees no variables of this one.
    fn definition(&mut self, at: usize) -> Result<Vec<Node>, SyntaxError> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, end) = self.block()?;
        (self.variables, self.loops) = (variables, loops);
        match end {
            End::Block(_) => Ok(body),
            _ => Err(self.fail(at, "unexpected EOF")),
        }
    }

    fn pipe(&mut self, tokens: &[Token], at: usize, context: &str) -> Result<Pipe, SyntaxError> {
        let (variables, assigns, rest) = self.declarations(tokens, context)?;
        let mut words = Words { tokens: rest, next: 0 };
        let commands = self.commands(&mut words, at, context, 0)?;
        if let Some(token) = words.tokens.get(words.next) {
            return Err(self.fail(token.at, "unexpected right paren"));
        }
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { variables, assigns, commands })
    }

    /// `$x :=` or `$i, $x :=` in front of a pipe.
    fn declarations<'t>(
        &self,
        tokens: &'t [Token],
        context: &str,
    ) -> Result<(Vec<String>, bool, &'t [Token]), SyntaxError> {
        let sign = tokens.iter().position(|t| matches!(t.kind, Kind::Declare | Kind::Assign));
        let Some(sign) = sign else { return Ok((Vec::new(), false, tokens)) };
        let mut names = Vec::new();
        for token in &tokens[..sign] {
            match &token.kind {
                Kind::Variable(name) => names.push(name.clone()),
                Kind::Space => {}
                Kind::Comma if context == "range" && names.len() == 1 => {}
                _ => return Err(self.fail(token.at, format!("unexpected {:?} in {context}", self.text(token)))),
            }
        }
        if names.is_empty() || names.len() > if context == "range" { 2 } else { 1 } {
            return Err(self.fail(tokens[sign].at, format!("too many declarations in {context}")));
        }
        let assigns = tokens[sign].kind == Kind::Assign;
        if let Some(name) = names.iter().find(|n| assigns && !self.variables.contains(n)) {
            return Err(self.fail(tokens[sign].at, format!("undefined variable {name:?}")));
        }
        Ok((names, assigns, &tokens[sign + 1..]))
    }

    fn text(&self, token: &Token) -> &str {
        &self.source[token.at..token.end]
    }

    fn commands(
        &self,
        words: &mut Words<'_>,
        at: usize,
        context: &str,
        depth: usize,
    ) -> Result<Vec<Vec<Term>>, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(self.fail(at, "too many nested parentheses"));
        }
        let mut commands = vec![Vec::new()];
        while let Some(token) = words.peek() {
            match &token.kind {
                Kind::Close => break,
                Kind::Pipe => {
                    if commands.last().is_none_or(Vec::is_empty) {
                        return Err(self.fail(token.at, "missing value for command"));
                    }
                    words.next += 1;
                    commands.push(Vec::new());
                }
                _ => {
                    let term = self.term(words, depth)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(term);
                    }
                }
            }
        }
        if commands.last().is_none_or(Vec::is_empty) {
            return Err(self.fail(at, format!("missing value for {context}")));
        }
        // Only a function can take the value of the command before.
        for command in &commands[1..] {
            if let Some(Term { kind: TermKind::Constant(_) | TermKind::Dot | TermKind::Nil, text, at }) =
                command.first()
            {
                return Err(self.fail(*at, format!("non executable command in pipeline stage 2: {text}")));
            }
        }
        Ok(commands)
    }

    fn term(&self, words: &mut Words<'_>, depth: usize) -> Result<Term, SyntaxError> {
        let Some(token) = words.peek().cloned() else { return Err(self.fail(self.source.len(), "unexpected EOF")) };
        words.next += 1;
        let at = token.at;
        let text = |value: String| TermKind::Constant(Val::text(value));
        let kind = match token.kind.clone() {
            Kind::Dot => TermKind::Dot,
            Kind::Field(name) => TermKind::Field([vec![name], words.fields()].concat()),
            Kind::Variable(name) if self.variables.contains(&name) => TermKind::Variable(name, words.fields()),
            Kind::Variable(name) => return Err(self.fail(at, format!("undefined variable {name:?}"))),
            Kind::Word(word) => match word.as_str() {
                "nil" => TermKind::Nil,
                "true" | "false" => TermKind::Constant(Val::flag(word == "true")),
                name if functions::exists(name) => TermKind::Function(word),
                name => return Err(self.fail(at, format!("function {name:?} not defined"))),
            },
            Kind::Text(value) => text(value),
            Kind::Int(number) => TermKind::Constant(Val::Int(number)),
            Kind::Float(number) => TermKind::Constant(Val::Data(Cow::Owned(Value::from(number)))),
            Kind::Open => {
                let commands = self.commands(words, at, "parenthesized pipeline", depth + 1)?;
                if words.tokens.get(words.next).is_none_or(|t| t.kind != Kind::Close) {
                    return Err(self.fail(at, "unclosed left paren"));
                }
                words.next += 1;
                TermKind::Pipe(Pipe { variables: Vec::new(), assigns: false, commands }, words.fields())
            }
            _ => return Err(self.fail(at, format!("unexpected {:?} in operand", self.text(&token)))),
        };
        let end = words.tokens.get(words.next.saturating_sub(1)).map_or(token.end, |t| t.end);
        Ok(Term { kind, at, text: self.source[at..end].to_owned() })
    }
}

fn after_first_word(tokens: &[Token]) -> &[Token] {
    let first = tokens.iter().position(|t| t.kind != Kind::Space);
    first.map_or(&[], |i| &tokens[i + 1..])
}

/// The words of a pipe that are not read yet.
struct Words<'t> {
    tokens: &'t [Token],
    next: usize,
}

impl Words<'_> {
    /// The next word behind blanks.
    fn peek(&mut self) -> Option<&Token> {
        while self.tokens.get(self.next).is_some_and(|t| t.kind == Kind::Space) {
            self.next += 1;
        }
        self.tokens.get(self.next)
    }

    /// Fields that follow without a blank.
    fn fields(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(Kind::Field(name)) = self.tokens.get(self.next).map(|t| &t.kind) {
            names.push(name.clone());
            self.next += 1;
        }
        names
    }
}
