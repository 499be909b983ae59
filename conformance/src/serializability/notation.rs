//! Histories as text, one transaction a line: see [`History`].

use std::fmt;
use std::str::FromStr;

use super::history::{Content, History, Malformed, Operation, Scan, Status, Transaction};

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, transaction) in self.transactions().iter().enumerate() {
            writeln!(f, "T{} {transaction}", at + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{} {}..", self.process, self.invoked)?;
        if let Some(returned) = self.returned {
            write!(f, "{returned}")?;
        }
        f.write_str(match self.status {
            Status::Ok => " ok",
            Status::Failed => " failed",
            Status::Unknown => " unknown",
        })?;
        if let Some(version) = self.version {
            write!(f, " v{version}")?;
        }
        if self.past {
            f.write_str(" past")?;
        }
        f.write_str(":")?;
        for (at, operation) in self.operations.iter().enumerate() {
            write!(f, "{} {operation}", if at == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append { key, value } => write!(f, "append {key} {value}"),
            Self::Read { key, found } => write!(f, "read {key} {}", Values(found)),
            Self::Put { key, value } => write!(f, "put {key} {value}"),
            Self::Delete { key } => write!(f, "delete {key}"),
            Self::Get { key, found: Some(value) } => write!(f, "get {key} {value}"),
            Self::Get { key, found: None } => write!(f, "get {key} nil"),
            Self::Scan(scan) => write!(f, "{scan}"),
        }
    }
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scan {}..{}", self.from, self.to.as_deref().unwrap_or_default())?;
        if self.backward {
            f.write_str(" back")?;
        }
        if let Some(limit) = self.limit {
            write!(f, " limit {limit}")?;
        }
        f.write_str(" {")?;
        for (at, (key, content)) in self.found.iter().enumerate() {
            write!(f, "{}{key}={content}", if at == 0 { "" } else { " " })?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(values) => Values(values).fmt(f),
            Self::Value(value) => value.fmt(f),
        }
    }
}

/// A list as histories and reports write it.
pub(super) struct Values<'v>(pub(super) &'v [u64]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, value) in self.0.iter().enumerate() {
            write!(f, "{}{value}", if at == 0 { "" } else { " " })?;
        }
        f.write_str("]")
    }
}

impl FromStr for History {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut transactions = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let transaction = transaction(line)
                .map_err(|what| Malformed::new(format!("line {}: {what}", at + 1)))?;
            transactions.push(transaction);
        }
        Self::new(transactions)
    }
}

fn transaction(line: &str) -> Result<Transaction, String> {
    let (head, body) = line.split_once(':').ok_or("no colon before the operations")?;
    let mut words = head.split_whitespace().peekable();
    if words.peek().is_some_and(|word| word.starts_with('T')) {
        words.next();
    }
    let process = words.next().and_then(|word| word.strip_prefix('p')).ok_or("no process")?;
    let (invoked, returned) =
        words.next().and_then(|word| word.split_once("..")).ok_or("no INVOKED..RETURNED")?;
    let status = match words.next() {
        Some("ok") => Status::Ok,
        Some("failed") => Status::Failed,
        Some("unknown") => Status::Unknown,
        _ => return Err("the status is not ok, failed or unknown".into()),
    };
    let mut transaction = Transaction {
        process: number(process)?,
        invoked: number(invoked)?,
        returned: if returned.is_empty() { None } else { Some(number(returned)?) },
        status,
        version: None,
        past: false,
        operations: Vec::new(),
    };
    for word in words {
        match word.strip_prefix('v') {
            Some(version) => transaction.version = Some(number(version)?),
            None if word == "past" => transaction.past = true,
            None => return Err(format!("{word} is neither a version nor past")),
        }
    }
    for text in body.split(';').map(str::trim).filter(|text| !text.is_empty()) {
        let operation = operation(text).map_err(|what| format!("{text}: {what}"))?;
        transaction.operations.push(operation);
    }
    Ok(transaction)
}

fn operation(text: &str) -> Result<Operation, String> {
    let (verb, rest) = text.split_once(' ').ok_or("no key")?;
    if verb == "scan" {
        return scan(rest.trim()).map(Operation::Scan);
    }
    let (name, value) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let (name, value) = (key(name)?, value.trim());
    Ok(match verb {
        "append" => Operation::Append { key: name, value: number(value)? },
        "read" => Operation::Read { key: name, found: values(value)? },
        "put" => Operation::Put { key: name, value: number(value)? },
        "delete" if value.is_empty() => Operation::Delete { key: name },
        "get" if value == "nil" => Operation::Get { key: name, found: None },
        "get" => Operation::Get { key: name, found: Some(number(value)?) },
        _ => return Err(format!("{verb} is not an operation")),
    })
}

fn scan(text: &str) -> Result<Scan, String> {
    let (head, body) = text.split_once('{').ok_or("no braces around what was found")?;
    let mut body = body.strip_suffix('}').ok_or("no closing brace")?.trim();
    let mut words = head.split_whitespace();
    let (from, to) = words.next().and_then(|word| word.split_once("..")).ok_or("no FROM..TO")?;
    let mut scan = Scan {
        from: if from.is_empty() { String::new() } else { key(from)? },
        to: if to.is_empty() { None } else { Some(key(to)?) },
        backward: false,
        limit: None,
        found: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word {
            "back" => scan.backward = true,
            "limit" => scan.limit = Some(number(words.next().unwrap_or_default())?),
            _ => return Err(format!("{word} is neither back nor limit")),
        }
    }
    while !body.is_empty() {
        let (name, rest) = body.split_once('=').ok_or("no = after a key")?;
        let end = if rest.starts_with('[') {
            rest.find(']').ok_or("no closing bracket")? + 1
        } else {
            rest.find(' ').unwrap_or(rest.len())
        };
        let (content, rest) = rest.split_at(end);
        let content = match content.starts_with('[') {
            true => Content::List(values(content)?),
            false => Content::Value(number(content)?),
        };
        scan.found.push((key(name)?, content));
        body = rest.trim_start();
    }
    Ok(scan)
}

fn values(text: &str) -> Result<Vec<u64>, String> {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .ok_or("no brackets around a list")?
        .split_whitespace()
        .map(number)
        .collect()
}

fn key(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => Ok(text.into()),
        false => Err(format!("{text:?} is not a key")),
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}
