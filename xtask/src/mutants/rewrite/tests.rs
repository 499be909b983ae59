use super::super::list::Span;
use super::*;

/// The mutants that are made by writing `replacement` for the `nth` time `original` stands in the text.
fn mutants(text: &str, changes: &[(Genre, &str, &str)]) -> Vec<Mutant> {
    let change = |(number, (genre, original, replacement)): (u32, &(Genre, &str, &str))| {
        let at = text.find(original).unwrap();
        let line = text[..at].matches('\n').count() + 1;
        let column = at - text[..at].rfind('\n').map_or(0, |end| end + 1) + 1;
        Mutant {
            number,
            name: String::new(),
            file: String::new(),
            genre: *genre,
            replacement: (*replacement).to_owned(),
            span: Span { start: (line, column) },
        }
    };
    (1..).zip(changes).map(change).collect()
}

#[test]
fn every_kind_of_mutant_becomes_a_branch() {
    use Genre::{BinaryOperator, FnValue, MatchArm, MatchArmGuard, StructField, UnaryOperator};
    for (text, changes, expected) in [
        (
            "fn f() -> u8 { g() }",
            &[(FnValue, "g()", "0"), (FnValue, "g()", "1")][..],
            "fn f() -> u8 { if on(1) { return 0; } if on(2) { return 1; } g() }",
        ),
        (
            "fn f() { let a = b + c * d; }",
            &[(BinaryOperator, "+", "-"), (BinaryOperator, "*", "/")],
            "fn f() { let a = (if on(1) { b - c * d\n} else if on(2) { b + c / d\n} else { b + c * d }); }",
        ),
        (
            "fn f() { a(b < c) == d }",
            &[(BinaryOperator, "==", "!="), (BinaryOperator, "<", ">")],
            "fn f() { (if on(1) { a(b < c) != d\n} else { a((if on(2) { b > c\n} else { b < c })) == d }) }",
        ),
        (
            "fn f() { if let Some(a) = b && c == d {} }",
            &[(BinaryOperator, "&&", "||"), (BinaryOperator, "==", "!=")],
            "fn f() { if let Some(a) = b && (if on(2) { c != d\n} else { c == d }) {} }",
        ),
        (
            "fn f() { !a.b }",
            &[(UnaryOperator, "!", "")],
            "fn f() { (if on(1) { a.b\n} else { !a.b }) }",
        ),
        (
            "fn f() { match a { B => c, _ => d } }",
            &[(MatchArm, "B", "")],
            "fn f() { match a { B if !on(1) => c, _ => d } }",
        ),
        (
            "fn f() { match a { b if x => d, _ => e } }",
            &[(MatchArmGuard, "x", "true"), (MatchArmGuard, "x", "false")],
            "fn f() { match a { b if (on(1) || (!on(2) && (x))) => d, _ => e } }",
        ),
        (
            "fn f() { A { b: c, ..d() } }",
            &[(StructField, "b:", "")],
            "fn f() { A { b: (if on(1) { (d()).b } else { c }), ..d() } }",
        ),
        // These cannot be branches: a constant, a function of constants, a type that the body gives.
        ("const A: u8 = 1 + 2;", &[(BinaryOperator, "+", "-")], "const A: u8 = 1 + 2;"),
        ("const fn f() -> u8 { g() }", &[(FnValue, "g()", "0")], "const fn f() -> u8 { g() }"),
        ("fn f() -> impl A { g() }", &[(FnValue, "g()", "h()")], "fn f() -> impl A { g() }"),
        (
            "fn f() -> (impl A, B) { g() }",
            &[(FnValue, "g()", "h()")],
            "fn f() -> (impl A, B) { g() }",
        ),
    ] {
        let mutants = mutants(text, changes);
        let rewritten = rewrite(text, &mutants.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(rewritten.text.replace("crate::mutant_switch::on", "on"), expected);
        syn::parse_file(&rewritten.text).unwrap();
        for (range, numbers) in rewritten.places {
            let place = &rewritten.text[range];
            for number in numbers {
                assert!(place.contains(&format!("on({number})")), "{number} is not in {place}");
            }
        }
    }
}

#[test]
fn what_only_a_mistake_on_purpose_does_is_told_apart() {
    for (text, replaced) in [
        (r#"fn f() { if planted("a") { b == c; } }"#, "=="),
        (r#"fn f() { if b == c && planted("a") { d(); } }"#, "=="),
        (r#"fn f() { match planted("a") { true if b == c => d, _ => e } }"#, "=="),
        (r#"fn f() { match a { b if planted("a") => b == c, _ => e } }"#, "=="),
    ] {
        let mutants = mutants(text, &[(Genre::BinaryOperator, replaced, "!=")]);
        let rewritten = rewrite(text, &mutants.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(rewritten.dead, [1], "{text}");
    }
    for text in [
        r#"fn f() { if b == c || planted("a") { d(); } }"#,
        r#"fn f() { if b == c && !planted("a") { d(); } }"#,
        r#"fn f() { match planted("a") { false if b == c => d, _ => e } }"#,
    ] {
        let mutants = mutants(text, &[(Genre::BinaryOperator, "==", "!=")]);
        let rewritten = rewrite(text, &mutants.iter().collect::<Vec<_>>()).unwrap();
        assert!(rewritten.dead.is_empty(), "{text}");
    }
}
