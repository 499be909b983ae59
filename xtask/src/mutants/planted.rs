//! Code that is in no program: what a mistake on purpose would do, if it were switched on.
//!
//! `storage_log::planted::planted` is a constant `false` in what is released, and in tests but for those that look for such
//! mistakes. To change what only runs where it is true changes nothing.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Expr, Pat};

/// The parts of `file` that never run.
pub(super) fn dead(file: &syn::File) -> Vec<Span> {
    let mut visitor = Dead::default();
    visitor.visit_file(file);
    visitor.0
}

#[derive(Default)]
struct Dead(Vec<Span>);

impl Dead {
    /// What stands beside `planted(…)` in a condition makes no difference to it.
    fn beside(&mut self, condition: &Expr) {
        if let Expr::Binary(binary) = condition {
            for side in [&binary.left, &binary.right] {
                if never(side) {
                    self.beside(side);
                } else {
                    self.0.push(side.span());
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Dead {
    fn visit_expr_if(&mut self, it: &'ast syn::ExprIf) {
        if never(&it.cond) {
            self.0.push(it.then_branch.span());
            self.beside(&it.cond);
        }
        visit::visit_expr_if(self, it);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Pat::Guard(guarded) = &arm.pat
            && never(&guarded.guard)
        {
            self.0.push(arm.body.span());
            self.beside(&guarded.guard);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_match(&mut self, it: &'ast syn::ExprMatch) {
        if never(&it.expr) {
            // `match planted("…") { true => …, false => … }`, also with a guard on the first.
            for arm in &it.arms {
                let pat = if let Pat::Guard(guarded) = &arm.pat { &guarded.pat } else { &arm.pat };
                if matches!(pat, Pat::Lit(it) if matches!(&it.lit, syn::Lit::Bool(it) if it.value))
                {
                    self.0.push(arm.span());
                }
            }
        }
        visit::visit_expr_match(self, it);
    }
}

/// Whether it is `planted(…)`, or that and something else.
fn never(condition: &Expr) -> bool {
    match condition {
        Expr::Call(call) => matches!(&*call.func, Expr::Path(it) if it.path.is_ident("planted")),
        Expr::Binary(it) => {
            matches!(it.op, syn::BinOp::And(_)) && (never(&it.left) || never(&it.right))
        }
        Expr::Paren(it) => never(&it.expr),
        _ => false,
    }
}
