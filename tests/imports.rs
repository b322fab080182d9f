//! Imports run one way: no module imports another that imports it in turn, directly or indirectly.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

type Module = Vec<String>;

#[test]
fn no_two_modules_import_each_other() {
    let mut sources = BTreeMap::new();
    read(Path::new("src"), &mut Vec::new(), &mut sources);
    assert!(sources.len() > 30, "{:?}", sources.keys());
    let modules: BTreeSet<_> = sources.keys().cloned().collect();
    let mut imports: BTreeMap<_, _> =
        sources.iter().map(|(module, source)| (module.clone(), imported(module, source, &modules))).collect();
    // A module without remaining imports is no part of a cycle.
    while let Some(done) = imports.iter().find(|(_, of)| of.is_empty()).map(|(module, _)| module.clone()) {
        imports.remove(&done);
        for of in imports.values_mut() {
            of.remove(&done);
        }
    }
    let cycle: Vec<_> = imports.iter().map(|(module, of)| format!("{} imports {of:?}", module.join("::"))).collect();
    assert!(cycle.is_empty(), "in an import cycle, or above one:\n{}", cycle.join("\n"));
}

#[test]
fn all_forms_of_imports_are_recognized() {
    let modules = [vec![], module("a"), module("a::b"), module("a::c"), module("d")].into();
    let source = "use super::{c::C, b};\nuse crate::{d::{self, E}, a::b::F as G};\nuse std::x; // use crate::x;\n\
                  fn f() { crate::d::g(); self::h() }\n#[cfg(test)]\nmod tests { use crate::y; }";
    let found = imported(&module("a::b"), source, &modules);
    assert_eq!(found, [module("a::c"), module("d")].into());
    assert_eq!(imported(&module("a"), "fn f() { b::g(); x::c::h() }", &modules), [module("a::b")].into());
    assert_eq!(
        imported(&module("a"), "use self::b::F;\nfn f() { super::d::g() }", &modules),
        [module("a::b"), module("d")].into()
    );
}

fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

/// Reads each module's source, by path. The crate's root and its binary may import everything.
fn read(folder: &Path, parent: &mut Module, sources: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        parent.push(entry.file_stem().unwrap().to_str().unwrap().to_owned());
        if entry.is_dir() {
            read(&entry, parent, sources);
        } else if !matches!(parent[..].join("::").as_str(), "lib" | "main") {
            sources.insert(parent.clone(), fs::read_to_string(&entry).unwrap());
        }
        parent.pop();
    }
}

/// The modules that a module's code imports or names.
fn imported(module: &Module, source: &str, modules: &BTreeSet<Module>) -> BTreeSet<Module> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let code: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
    let code = code.join(" ");
    let mut paths = Vec::new();
    for statement in code.split("use ").skip(1) {
        expand(statement.split(';').next().unwrap(), &mut paths);
    }
    for root in ["crate::", "super::", "self::"] {
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let rests = code.split(root).skip(1).map(|rest| rest.split(|c| !is_path(c)).next().unwrap());
        paths.extend(rests.filter(|rest| !rest.is_empty()).map(|rest| format!("{root}{rest}")));
    }
    // A child module may be named without a prefix.
    let children = modules.iter().filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
    let is_named = |child: &&Module| {
        let name = format!("{}::", child[module.len()]);
        let mut at = code.match_indices(&name).map(|(at, _)| code[..at].chars().last());
        at.any(|before| before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':'))
    };
    paths.extend(children.filter(is_named).map(|child| format!("crate::{}", child.join("::"))));
    let resolved = paths.iter().filter_map(|path| resolve(module, path, modules));
    resolved.filter(|found| found != module && !found.is_empty()).collect()
}

/// Expands `a::{b, c::{d, e}}`.
fn expand(tree: &str, paths: &mut Vec<String>) {
    let Some((prefix, rest)) = tree.split_once('{') else { return paths.push(tree.trim().to_owned()) };
    let (mut depth, mut item) = (0, String::new());
    for c in rest.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => expand(&format!("{}{}", prefix.trim(), std::mem::take(&mut item).trim()), paths),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                item.push(c);
            }
        }
    }
    if !item.trim().is_empty() {
        expand(&format!("{}{}", prefix.trim(), item.trim()), paths);
    }
}

/// The innermost module of a path; `None` for other crates.
fn resolve(module: &Module, path: &str, modules: &BTreeSet<Module>) -> Option<Module> {
    let mut parts = path.split("::").map(|part| part.split_whitespace().next().unwrap_or_default()).peekable();
    let mut at = match *parts.peek()? {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len() - 1].to_vec(),
        _ => return None,
    };
    parts.next();
    for part in parts {
        if part == "super" {
            at.pop();
            continue;
        }
        let inner = [&at[..], &[part.to_owned()]].concat();
        if !modules.contains(&inner) {
            break;
        }
        at = inner;
    }
    Some(at)
}
