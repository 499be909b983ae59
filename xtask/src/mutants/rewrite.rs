//! All mutants of a file in one text, each behind a switch.
//!
//! cargo-mutants builds anew for every mutant. Here each becomes a branch, `if crate::mutant_switch::on(17) { … }`, so that
//! one build holds them all. Everything is done by insertion: nothing of the file is taken away, and what is inserted
//! repeats the original text with cargo-mutants' own replacement in it, so that it means the same.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result};
use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Expr, Pat, ReturnType, Signature, TypeImplTrait};

use super::list::{Genre, Mutant};
use super::planted;

/// A rewritten file.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// Its text.
    pub(super) text: String,
    /// Which bytes of it belong to which mutants, the narrower ranges after those around them: to tell whose fault an
    /// error of the compiler is.
    pub(super) places: Places,
    /// Mutants that no program has in it.
    pub(super) dead: Vec<u32>,
}

/// Bytes, and the mutants they belong to.
pub(super) type Places = Vec<(Range<usize>, Vec<u32>)>;

/// Rewrites `text` with all of `mutants` in it.
///
/// What cannot be a branch is left out: what stands where only constants may, and what the text has not got.
pub(super) fn rewrite(text: &str, mutants: &[&Mutant]) -> Result<Rewritten> {
    let file = syn::parse_file(text).context("parse")?;
    let lines = Lines::new(text);
    let never: Vec<_> = planted::dead(&file).into_iter().map(|span| lines.range(span)).collect();
    let mut at = BTreeMap::<_, Vec<_>>::new();
    let mut dead = Vec::new();
    for mutant in mutants {
        let start = lines.offset(mutant.span.start);
        if never.iter().any(|range| range.contains(&start)) {
            dead.push(mutant.number);
        }
        at.entry((mutant.genre, start)).or_default().push((mutant.number, *mutant));
    }
    let mut visitor = Visitor { text, lines, at, insertions: Vec::new() };
    visitor.visit_file(&file);
    Ok(Rewritten { dead, ..apply(text, visitor.insertions) })
}

/// Something to insert. What opens is inserted outermost first and what closes innermost first, which is the order of
/// the visit; at one place everything that closes goes before what opens.
#[derive(Debug)]
struct Insertion {
    at: usize,
    opens: bool,
    text: String,
    /// Opens or closes a place of these mutants, or is one by itself.
    place: Place,
}

#[derive(Debug)]
enum Place {
    Whole(u32),
    Begin(Vec<u32>),
    Part(Vec<(Range<usize>, u32)>),
    End,
}

fn apply(text: &str, mut insertions: Vec<Insertion>) -> Rewritten {
    insertions.sort_by_key(|insertion| (insertion.at, insertion.opens));
    let (mut out, mut taken) = (Rewritten::default(), 0);
    let mut open = Vec::new();
    for insertion in insertions {
        out.text.push_str(&text[taken..insertion.at]);
        taken = insertion.at;
        let start = out.text.len();
        out.text.push_str(&insertion.text);
        match insertion.place {
            Place::Whole(number) => out.places.push((start..out.text.len(), vec![number])),
            Place::Begin(numbers) => {
                open.push(out.places.len());
                out.places.push((start..start, numbers));
            }
            Place::Part(parts) => {
                let numbers = parts.iter().map(|(_, number)| *number).collect();
                open.push(out.places.len());
                out.places.push((start..start, numbers));
                for (range, number) in parts {
                    out.places.push((start + range.start..start + range.end, vec![number]));
                }
            }
            Place::End => {
                let place = open.pop().expect("every end has its begin");
                out.places[place].0.end = out.text.len();
            }
        }
    }
    out.text.push_str(&text[taken..]);
    out
}

/// Where the lines of a text begin: cargo-mutants counts in lines and characters, we in bytes.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(starts).collect() }
    }

    fn offset(&self, (line, column): (usize, usize)) -> usize {
        let start = self.starts.get(line - 1).copied().unwrap_or(self.text.len());
        let rest = &self.text[start..];
        start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
    }

    fn range(&self, span: Span) -> Range<usize> {
        let offset = |at: LineColumn| self.offset((at.line, at.column + 1));
        offset(span.start())..offset(span.end())
    }
}

struct Visitor<'a> {
    text: &'a str,
    lines: Lines<'a>,
    /// Not yet found in the text, by kind and first byte.
    at: BTreeMap<(Genre, usize), Vec<(u32, &'a Mutant)>>,
    insertions: Vec<Insertion>,
}

impl Visitor<'_> {
    fn take(&mut self, genre: Genre, start: usize) -> Vec<(u32, &Mutant)> {
        self.at.remove(&(genre, start)).unwrap_or_default()
    }

    fn range(&self, spanned: &impl Spanned) -> Range<usize> {
        self.lines.range(spanned.span())
    }

    fn insert(&mut self, at: usize, opens: bool, text: impl Into<String>, place: Place) {
        self.insertions.push(Insertion { at, opens, text: text.into(), place });
    }

    /// A body may return early; unless it is the body that says what type is returned, which then can be no other.
    fn body(&mut self, sig: &Signature, block: &Block) {
        let Some(first) = block.stmts.first() else { return };
        if is_said_by_the_body(&sig.output) {
            return;
        }
        let start = self.range(first).start;
        let found = self.take(Genre::FnValue, start);
        let texts: Vec<_> = found
            .into_iter()
            .map(|(number, mutant)| {
                (number, format!("if {} {{ return {}; }} ", on(number), mutant.replacement))
            })
            .collect();
        for (number, text) in texts {
            self.insert(start, true, text, Place::Whole(number));
        }
    }

    /// All the mutants of a tree of operators become whole other trees, as another operator may bind otherwise. Whether
    /// there is something to close.
    fn operators(&mut self, expr: &Expr) -> bool {
        let mut edits = Vec::new();
        // The names that a `let` binds would be hidden by an `if` around it.
        if !has_let(expr) {
            self.collect_operators(expr, &mut edits);
        }
        if edits.is_empty() {
            return false;
        }
        let whole = self.range(expr);
        let (mut text, mut parts) = ("(".to_owned(), Vec::new());
        for (number, range, replacement) in edits {
            let before = &self.text[whole.start..range.start];
            let after = &self.text[range.end..whole.end];
            let start = text.len();
            text += &format!("if {} {{ {before}{replacement}{after}\n}}", on(number));
            parts.push((start..text.len(), number));
            text += " else ";
        }
        self.insert(whole.start, true, text + "{ ", Place::Part(parts));
        true
    }

    fn collect_operators(&mut self, expr: &Expr, edits: &mut Vec<(u32, Range<usize>, String)>) {
        if let Expr::Binary(binary) = expr {
            self.collect_operators(&binary.left, edits);
            let range = self.range(&binary.op);
            for (number, mutant) in self.take(Genre::BinaryOperator, range.start) {
                edits.push((number, range.clone(), mutant.replacement.clone()));
            }
            self.collect_operators(&binary.right, edits);
        }
    }

    fn guarded(&mut self, pat: &Pat, guard: Option<&Expr>, whole: usize) {
        let after = self.range(pat).end;
        if let Some(guard) = guard {
            let range = self.range(guard);
            let found = self.take(Genre::MatchArmGuard, range.start);
            let of = |replacement: &str| {
                found.iter().find(|(_, mutant)| mutant.replacement == replacement).map(|it| it.0)
            };
            match (of("true"), of("false")) {
                (Some(always), Some(never)) if !has_let(guard) => {
                    let text = format!("({} || (!{} && (", on(always), on(never));
                    self.insert(range.start, true, text, Place::Begin(vec![always, never]));
                    self.visit_expr(guard);
                    self.insert(range.end, false, ")))", Place::End);
                }
                _ => self.visit_expr(guard),
            }
            return;
        }
        let found: Vec<_> =
            self.take(Genre::MatchArm, whole).into_iter().map(|(number, _)| number).collect();
        for number in found {
            self.insert(after, true, format!(" if !{}", on(number)), Place::Whole(number));
        }
    }
}

/// Whether there is an `impl Trait` anywhere in what is returned.
fn is_said_by_the_body(output: &ReturnType) -> bool {
    struct Found(bool);
    impl Visit<'_> for Found {
        fn visit_type_impl_trait(&mut self, _: &TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut found = Found(false);
    found.visit_return_type(output);
    found.0
}

/// Asks whether the mutant is switched on.
fn on(number: u32) -> String {
    format!("crate::mutant_switch::on({number})")
}

fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    // Nothing but constants may stand in these, and asking for a switch is none.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_type_array(&mut self, _: &'ast syn::TypeArray) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}

    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.sig.constness.is_none() {
            self.body(&item.sig, &item.block);
            visit::visit_block(self, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if item.sig.constness.is_none() {
            self.body(&item.sig, &item.block);
            visit::visit_block(self, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(&item.sig, block);
            visit::visit_block(self, block);
        }
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        let opened = matches!(expr, Expr::Binary(_)) && self.operators(expr);
        // The operators of this tree are done with; what stands between them is not.
        visit::visit_expr(self, expr);
        if opened {
            let end = self.range(expr).end;
            self.insert(end, false, " })", Place::End);
        }
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let range = self.range(unary);
        let found = self.take(Genre::UnaryOperator, range.start);
        let found: Vec<_> = found.into_iter().map(|(number, _)| number).collect();
        for &number in &found {
            let operand = &self.text[self.range(&unary.expr)];
            let text = format!("(if {} {{ {operand}\n}} else {{ ", on(number));
            self.insert(range.start, true, text, Place::Begin(vec![number]));
        }
        visit::visit_expr_unary(self, unary);
        for _ in found {
            self.insert(range.end, false, " })", Place::End);
        }
    }

    fn visit_expr_match(&mut self, it: &'ast syn::ExprMatch) {
        let starts: Vec<_> = it.arms.iter().map(|arm| self.range(arm).start).collect();
        let arms = starts.iter().filter_map(|start| self.at.get(&(Genre::MatchArm, *start)));
        // That arms are missing is said of the whole.
        let numbers = arms.flatten().map(|(number, _)| *number).collect();
        let whole = self.range(it);
        self.insert(whole.start, true, "", Place::Begin(numbers));
        self.visit_expr(&it.expr);
        for arm in &it.arms {
            let whole = self.range(arm).start;
            // A guard is a part of the pattern.
            match &arm.pat {
                Pat::Guard(guarded) => self.guarded(&guarded.pat, Some(&guarded.guard), whole),
                pat => self.guarded(pat, None, whole),
            }
            self.visit_expr(&arm.body);
        }
        self.insert(whole.end, false, "", Place::End);
    }

    fn visit_expr_struct(&mut self, it: &'ast syn::ExprStruct) {
        for field in &it.fields {
            let start = self.range(field).start;
            let found = self.take(Genre::StructField, start);
            let found: Vec<_> = found.into_iter().map(|(number, _)| number).collect();
            let range = self.range(&field.expr);
            if let (Some(rest), Some(&number)) = (&it.rest, found.first()) {
                let syn::Member::Named(name) = &field.member else { continue };
                let rest = &self.text[self.range(rest)];
                let colon =
                    if field.colon_token.is_none() { format!("{name}: ") } else { String::new() };
                let text = format!("{colon}(if {} {{ ({rest}).{name} }} else {{ ", on(number));
                self.insert(range.start, true, text, Place::Begin(vec![number]));
                self.visit_expr(&field.expr);
                self.insert(range.end, false, " })", Place::End);
            } else {
                self.visit_expr(&field.expr);
            }
        }
        if let Some(rest) = &it.rest {
            self.visit_expr(rest);
        }
    }
}

#[cfg(test)]
mod tests;
