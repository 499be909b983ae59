//! Which crates' types a public interface shows, read from the source.
//!
//! It follows names through `use`, which is enough for a crate that has no macros making public items.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{ImplItem, Item, TraitItem, UseTree, Visibility};

/// Crates whose types the waist may show. `async_trait` is an attribute, not a type.
const SHOWN: &[&str] =
    &["std", "core", "alloc", "bytes", "futures_core", "async_trait", "crate", "self", "super"];

/// Traits that may be derived on a public type: those of std.
const DERIVED: &[&str] =
    &["Clone", "Copy", "Debug", "Default", "Eq", "Hash", "Ord", "PartialEq", "PartialOrd"];

/// Checks every source file under `folder` that is not a test.
pub(crate) fn check_folder(folder: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let mut files = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                files += 1;
                let name = path.strip_prefix(folder.as_path()).unwrap_or(&path).display();
                problems
                    .extend(check_source(&name.to_string(), &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files > 0, "no source in {}", folder.display());
    problems
}

/// Checks one file.
pub(crate) fn check_source(name: &str, source: &str) -> Vec<String> {
    let file = syn::parse_file(source).unwrap();
    let modules: Vec<_> = file
        .items
        .iter()
        .filter_map(
            |item| if let Item::Mod(item) = item { Some(item.ident.to_string()) } else { None },
        )
        .collect();
    let mut imports = Imports::default();
    for item in &file.items {
        if let Item::Use(item) = item {
            imports.read(&item.tree, None);
        }
    }
    let mut shown =
        Shown { file: name, modules: &modules, imports: &imports.0, problems: Vec::new() };
    for item in &file.items {
        shown.check(item);
    }
    shown.problems
}

/// From which crate, or module of the file itself, each imported name comes.
#[derive(Default)]
struct Imports(BTreeMap<String, String>);

impl Imports {
    fn read(&mut self, tree: &UseTree, from: Option<&str>) {
        let mut add = |name: &syn::Ident, from: Option<&str>| {
            let from = from.map_or_else(|| name.to_string(), str::to_owned);
            self.0.insert(name.to_string(), from);
        };
        match tree {
            UseTree::Path(path) => {
                let root = path.ident.to_string();
                self.read(&path.tree, Some(from.unwrap_or(&root)));
            }
            UseTree::Name(item) => add(&item.ident, from),
            UseTree::Rename(item) => {
                let root = item.ident.to_string();
                add(&item.rename, Some(from.unwrap_or(&root)));
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read(tree, from);
                }
            }
            UseTree::Glob(_) => {}
        }
    }
}

struct Shown<'a> {
    file: &'a str,
    modules: &'a [String],
    imports: &'a BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Shown<'_> {
    /// Looks at what an item shows to other crates, and only at that.
    fn check(&mut self, item: &Item) {
        match item {
            Item::Fn(item) if public(&item.vis) => self.visit_signature(&item.sig),
            Item::Struct(item) if public(&item.vis) => {
                self.derives(&item.attrs);
                self.visit_generics(&item.generics);
                for field in item.fields.iter().filter(|field| public(&field.vis)) {
                    self.visit_type(&field.ty);
                }
            }
            Item::Enum(item) if public(&item.vis) => {
                self.derives(&item.attrs);
                for field in item.variants.iter().flat_map(|variant| &variant.fields) {
                    self.visit_type(&field.ty);
                }
            }
            Item::Type(item) if public(&item.vis) => self.visit_type(&item.ty),
            Item::Const(item) if public(&item.vis) => self.visit_type(&item.ty),
            Item::Static(item) if public(&item.vis) => self.visit_type(&item.ty),
            Item::Trait(item) if public(&item.vis) => {
                item.supertraits.iter().for_each(|bound| self.visit_type_param_bound(bound));
                for item in &item.items {
                    match item {
                        TraitItem::Fn(item) => self.visit_signature(&item.sig),
                        TraitItem::Type(item) => self.visit_trait_item_type(item),
                        _ => {}
                    }
                }
            }
            Item::Impl(item) => {
                if let Some((of, _)) = &item.trait_ {
                    self.visit_path(of);
                }
                for item in &item.items {
                    if let ImplItem::Fn(item) = item
                        && public(&item.vis)
                    {
                        self.visit_signature(&item.sig);
                    }
                }
            }
            Item::Use(item) if public(&item.vis) => {
                let mut imports = Imports::default();
                imports.read(&item.tree, None);
                for (name, from) in imports.0 {
                    self.report(&name, &from);
                }
            }
            Item::Mod(item) => {
                for item in item.content.iter().flat_map(|(_, items)| items) {
                    self.check(item);
                }
            }
            _ => {}
        }
    }

    fn derives(&mut self, attributes: &[syn::Attribute]) {
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
            let parsed = attribute.parse_nested_meta(|derived| {
                let name = derived.path.segments.last().map(|segment| segment.ident.to_string());
                if let Some(name) = name.filter(|name| !DERIVED.contains(&&**name)) {
                    self.report(&name, "a derive");
                }
                Ok(())
            });
            parsed.unwrap();
        }
    }

    /// Reports `name`, unless the crate or module it comes from may be shown.
    fn report(&mut self, name: &str, from: &str) {
        if !SHOWN.contains(&from) && !self.modules.iter().any(|module| module == from) {
            self.problems.push(format!("{}: shows `{name}`, of {from}", self.file));
        }
    }
}

impl Visit<'_> for Shown<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        let root = path.segments[0].ident.to_string();
        // A path of several parts whose first is no type or parameter names a crate or a module.
        let names_crate =
            path.segments.len() > 1 && root.starts_with(|c: char| c.is_ascii_lowercase());
        if let Some(from) = self.imports.get(&root) {
            self.report(&root, from);
        } else if names_crate {
            self.report(&root, &root);
        }
        visit::visit_path(self, path);
    }
}

fn public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
