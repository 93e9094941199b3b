//! Which token may follow which.

use super::Fault;
use super::scanner::{Kind, Scanner, Token};

/// What a document consists of, with the anchors.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Alias(String),
    Scalar(Option<String>),
    /// A sequence or a mapping begins.
    Begin(Option<String>),
    End,
    /// The document ends, and what is behind it begins here.
    DocumentEnd(usize),
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceEntry,
    IndentlessSequenceEntry,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequenceEntry,
    /// The key of a pair in brackets without braces.
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingValue,
    /// What stands in braces without a value.
    FlowMappingNoValue,
}

/// Which nodes may stand somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nodes {
    Block,
    /// Also sequences that are not indented.
    BlockOrIndentless,
    Flow,
}

pub(super) struct Grammar<'a> {
    scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    handles: Vec<Vec<u8>>,
}

impl<'a> Grammar<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (states, handles) = (Vec::new(), Vec::new());
        Self { scanner: Scanner::new(bytes), state: State::DocumentStart, states, handles }
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> Result<Event, Fault> {
        match self.state {
            State::DocumentStart => self.document_start(),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => Ok(Event::DocumentEnd(self.scanner.peek()?.offset)),
            State::BlockNode => self.node(Nodes::Block),
            State::BlockSequenceEntry => self.block_sequence_entry(),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingKey => self.block_mapping_key(),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirst => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowPairKey => self.flow_pair_key(),
            State::FlowPairValue => self.flow_pair_value(),
            State::FlowPairEnd => {
                self.scanner.peek()?;
                self.state = State::FlowSequenceEntry;
                Ok(Event::End)
            }
            State::FlowMappingFirst => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(),
            State::FlowMappingNoValue => self.nothing(State::FlowMappingKey),
        }
    }

    /// Takes the token that was looked at, for the one behind it.
    fn after(&mut self) -> Result<Token, Fault> {
        self.scanner.take();
        self.scanner.peek()
    }

    fn fault<T>(token: &Token, problem: &'static str) -> Result<T, Fault> {
        Err(Fault::Grammar { line: token.line, problem })
    }

    /// An empty scalar, as nothing stands where something could.
    fn nothing(&mut self, state: State) -> Result<Event, Fault> {
        self.scanner.peek()?;
        self.state = state;
        Ok(Event::Scalar(None))
    }

    /// A node, and what is expected behind it.
    fn node_before(&mut self, state: State, nodes: Nodes) -> Result<Event, Fault> {
        self.states.push(state);
        self.node(nodes)
    }

    /// Goes back to what is around.
    fn back(&mut self) {
        self.state = self.states.pop().unwrap_or(State::DocumentEnd);
    }

    fn close(&mut self) -> Event {
        self.scanner.take();
        self.back();
        Event::End
    }

    fn document_start(&mut self) -> Result<Event, Fault> {
        self.scanner.peek()?;
        let mut token = self.after()?;
        if token.kind == Kind::StreamEnd {
            return Ok(Event::DocumentEnd(token.offset));
        }
        let explicit = matches!(token.kind, Kind::Version(_) | Kind::TagDirective(_) | Kind::DocumentStart);
        let mut versions = 0;
        while let Kind::Version(_) | Kind::TagDirective(_) = token.kind {
            match &token.kind {
                Kind::Version(_) if versions > 0 => return Self::fault(&token, "found duplicate %YAML directive"),
                Kind::Version(false) => return Self::fault(&token, "found incompatible YAML document"),
                Kind::TagDirective(handle) if self.handles.contains(handle) => {
                    return Self::fault(&token, "found duplicate %TAG directive");
                }
                Kind::TagDirective(handle) => self.handles.push(handle.clone()),
                _ => versions += 1,
            }
            token = self.after()?;
        }
        self.handles.extend([b"!".to_vec(), b"!!".to_vec()]);
        self.states.push(State::DocumentEnd);
        if !explicit {
            self.state = State::BlockNode;
            return self.next();
        }
        if token.kind != Kind::DocumentStart {
            return Self::fault(&token, "did not find expected <document start>");
        }
        self.scanner.take();
        self.state = State::DocumentContent;
        self.next()
    }

    fn document_content(&mut self) -> Result<Event, Fault> {
        let token = self.scanner.peek()?;
        match token.kind {
            Kind::Version(_) | Kind::TagDirective(_) | Kind::DocumentStart | Kind::DocumentEnd | Kind::StreamEnd => {
                self.back();
                Ok(Event::Scalar(None))
            }
            _ => self.node(Nodes::Block),
        }
    }

    fn node(&mut self, nodes: Nodes) -> Result<Event, Fault> {
        let mut token = self.scanner.peek()?;
        if let Kind::Alias(name) = token.kind {
            self.scanner.take();
            self.back();
            return Ok(Event::Alias(name));
        }
        let (mut anchor, mut tag) = (None, None);
        // One of each, in any order.
        loop {
            match &token.kind {
                Kind::Anchor(name) if anchor.is_none() => anchor = Some(name.clone()),
                Kind::Tag(handle) if tag.is_none() => tag = Some((handle.clone(), token.clone())),
                _ => break,
            }
            token = self.after()?;
        }
        if let Some((Some(handle), token)) = &tag
            && !self.handles.contains(handle)
        {
            return Self::fault(token, "found undefined tag handle");
        }
        let block = nodes != Nodes::Flow;
        let inside = match token.kind {
            Kind::BlockEntry if nodes == Nodes::BlockOrIndentless => {
                self.state = State::IndentlessSequenceEntry;
                return Ok(Event::Begin(anchor));
            }
            Kind::Scalar => {
                self.scanner.take();
                self.back();
                return Ok(Event::Scalar(anchor));
            }
            Kind::FlowSequence => State::FlowSequenceFirst,
            Kind::FlowMapping => State::FlowMappingFirst,
            Kind::BlockSequence if block => State::BlockSequenceEntry,
            Kind::BlockMapping if block => State::BlockMappingKey,
            _ if anchor.is_some() || tag.is_some() => {
                self.back();
                return Ok(Event::Scalar(anchor));
            }
            _ => return Self::fault(&token, "did not find expected node content"),
        };
        self.scanner.take();
        self.state = inside;
        Ok(Event::Begin(anchor))
    }

    fn block_sequence_entry(&mut self) -> Result<Event, Fault> {
        let token = self.scanner.peek()?;
        match token.kind {
            Kind::BlockEntry => match self.after()?.kind {
                Kind::BlockEntry | Kind::BlockEnd => self.nothing(State::BlockSequenceEntry),
                _ => self.node_before(State::BlockSequenceEntry, Nodes::Block),
            },
            Kind::BlockEnd => Ok(self.close()),
            _ => Self::fault(&token, "did not find expected '-' indicator"),
        }
    }

    fn indentless_sequence_entry(&mut self) -> Result<Event, Fault> {
        if self.scanner.peek()?.kind != Kind::BlockEntry {
            self.back();
            return Ok(Event::End);
        }
        match self.after()?.kind {
            Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd => self.nothing(State::IndentlessSequenceEntry),
            _ => self.node_before(State::IndentlessSequenceEntry, Nodes::Block),
        }
    }

    fn block_mapping_key(&mut self) -> Result<Event, Fault> {
        let token = self.scanner.peek()?;
        match token.kind {
            Kind::Key => match self.after()?.kind {
                Kind::Key | Kind::Value | Kind::BlockEnd => self.nothing(State::BlockMappingValue),
                _ => self.node_before(State::BlockMappingValue, Nodes::BlockOrIndentless),
            },
            Kind::BlockEnd => Ok(self.close()),
            _ => Self::fault(&token, "did not find expected key"),
        }
    }

    fn block_mapping_value(&mut self) -> Result<Event, Fault> {
        if self.scanner.peek()?.kind != Kind::Value {
            return self.nothing(State::BlockMappingKey);
        }
        match self.after()?.kind {
            Kind::Key | Kind::Value | Kind::BlockEnd => self.nothing(State::BlockMappingKey),
            _ => self.node_before(State::BlockMappingKey, Nodes::BlockOrIndentless),
        }
    }

    /// The token of an entry, behind its comma if it is not the first.
    fn entry(&mut self, first: bool, end: &Kind, problem: &'static str) -> Result<Token, Fault> {
        let token = self.scanner.peek()?;
        match &token.kind {
            Kind::FlowEntry if !first => self.after(),
            kind if first || kind == end => Ok(token),
            _ => Self::fault(&token, problem),
        }
    }

    fn flow_sequence_entry(&mut self, first: bool) -> Result<Event, Fault> {
        match self.entry(first, &Kind::FlowSequenceEnd, "did not find expected ',' or ']'")?.kind {
            Kind::FlowSequenceEnd => Ok(self.close()),
            Kind::Key => {
                self.scanner.take();
                self.state = State::FlowPairKey;
                Ok(Event::Begin(None))
            }
            _ => self.node_before(State::FlowSequenceEntry, Nodes::Flow),
        }
    }

    fn flow_pair_key(&mut self) -> Result<Event, Fault> {
        match self.scanner.peek()?.kind {
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => {
                self.scanner.take();
                self.state = State::FlowPairValue;
                Ok(Event::Scalar(None))
            }
            _ => self.node_before(State::FlowPairValue, Nodes::Flow),
        }
    }

    fn flow_pair_value(&mut self) -> Result<Event, Fault> {
        if self.scanner.peek()?.kind != Kind::Value {
            return self.nothing(State::FlowPairEnd);
        }
        match self.after()?.kind {
            Kind::FlowEntry | Kind::FlowSequenceEnd => self.nothing(State::FlowPairEnd),
            _ => self.node_before(State::FlowPairEnd, Nodes::Flow),
        }
    }

    fn flow_mapping_key(&mut self, first: bool) -> Result<Event, Fault> {
        match self.entry(first, &Kind::FlowMappingEnd, "did not find expected ',' or '}'")?.kind {
            Kind::FlowMappingEnd => Ok(self.close()),
            Kind::Key => match self.after()?.kind {
                Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => self.nothing(State::FlowMappingValue),
                _ => self.node_before(State::FlowMappingValue, Nodes::Flow),
            },
            _ => self.node_before(State::FlowMappingNoValue, Nodes::Flow),
        }
    }

    fn flow_mapping_value(&mut self) -> Result<Event, Fault> {
        if self.scanner.peek()?.kind != Kind::Value {
            return self.nothing(State::FlowMappingKey);
        }
        match self.after()?.kind {
            Kind::FlowEntry | Kind::FlowMappingEnd => self.nothing(State::FlowMappingKey),
            _ => self.node_before(State::FlowMappingKey, Nodes::Flow),
        }
    }
}
