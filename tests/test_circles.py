"""Tests of circles.py."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import circles


class Circles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, files, package="crates/a"):
        for name, text in {"Cargo.toml": "", **files}.items():
            file = self.root / package / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def circles(self, **sources):
        """The circles of a package with these files below `src`, as sets of names."""
        self.write({f"src/{name.replace('__', '/')}.rs": text for name, text in sources.items()})
        package = circles.Package(self.root / "crates/a")
        sources = package.folder / "src"
        return [{str(file.relative_to(sources)) for file in circle} for circle in circles.circles(package.imports)]

    def test_files_that_use_each_other_are_a_circle(self):
        found = self.circles(
            lib="mod one; mod two; mod three;",
            one="use crate::two::Two; pub struct One;",
            two="use super::one::One; pub struct Two;",
            three="use crate::{one::One, two::Two};",
        )
        self.assertEqual(found, [{"one.rs", "two.rs"}])

    def test_a_circle_may_have_any_number_of_files(self):
        found = self.circles(
            lib="mod one; mod two; mod three;",
            one="use crate::two::Two;",
            two="use crate::three::Three;",
            three="fn f() -> crate::one::One {}",
        )
        self.assertEqual(found, [{"one.rs", "two.rs", "three.rs"}])

    def test_a_path_in_code_is_an_import(self):
        found = self.circles(
            lib="mod one; mod two;",
            one="use crate::two; fn f() { two::g() }",
            two="pub fn g() { crate::one::f() }",
        )
        self.assertEqual(found, [{"one.rs", "two.rs"}])

    def test_a_parent_that_declares_its_children_or_hands_them_on_imports_nothing(self):
        found = self.circles(
            lib="mod one; pub use one::One; pub struct Root;",
            one="mod child; use crate::Root; pub use child::{Child, Other as Renamed}; pub struct One;",
            one__child="use super::One; pub struct Child; pub struct Other;",
        )
        self.assertEqual(found, [])

    def test_a_parent_that_uses_what_it_hands_on_imports_it(self):
        found = self.circles(
            lib="mod one;",
            one="mod child; pub use child::Child; pub struct One(Child);",
            one__child="use super::One; pub struct Child;",
        )
        self.assertEqual(found, [{"one.rs", "one/child.rs"}])

    def test_a_variant_of_the_same_name_is_no_use(self):
        found = self.circles(
            lib="mod one;",
            one="mod child; pub use child::Child; pub enum One { #[doc(hidden)] Child, Other(u8) } fn f() { One::Child }",
            one__child="use super::One; pub struct Child;",
        )
        self.assertEqual(found, [])

    def test_a_name_that_was_handed_on_is_of_the_file_that_defines_it(self):
        found = self.circles(
            lib="mod one; mod two; pub use one::One;",
            one="use crate::two::Two; pub struct One;",
            two="use crate::One; pub struct Two;",
        )
        self.assertEqual(found, [{"one.rs", "two.rs"}])
        found = self.circles(
            lib="mod one; mod two;",
            one="mod child; pub use child::Child; pub struct One;",
            one__child="pub struct Child;",
            two="use crate::one::Child as Renamed; pub struct Two(Renamed);",
        )
        self.assertEqual(found, [])

    def test_a_parent_is_a_file_of_its_name_or_mod_rs(self):
        found = self.circles(
            lib="mod one;",
            one__mod="mod child; fn f() { child::g() }",
            one__child="pub fn g() { super::f() }",
        )
        self.assertEqual(found, [{"one/mod.rs", "one/child.rs"}])

    def test_a_module_within_a_file_is_of_that_file(self):
        found = self.circles(
            lib="mod one; mod two;",
            one="mod inner { use crate::two::Two; pub struct Inner; }",
            two="use crate::one::inner::Inner; pub struct Two;",
        )
        self.assertEqual(found, [{"one.rs", "two.rs"}])

    def test_tests_are_left_out(self):
        found = self.circles(
            lib="mod one; mod two; #[cfg(test)] mod shared;",
            one="use crate::two::Two; #[cfg(test)] #[allow(dead_code)] pub(crate) mod tests { use crate::two::Two; }",
            two="pub struct Two; #[cfg(test)] use crate::one::{One}; #[cfg(all(test, unix))] fn f() { crate::one::g() }",
            shared="use crate::one::One;",
        )
        self.assertEqual(found, [])

    def test_what_is_compiled_without_tests_too_is_not_left_out(self):
        found = self.circles(
            lib="mod one; mod two;",
            one="use crate::two::Two;",
            two="#[cfg(not(test))] use crate::one::One; #[cfg(unix)] mod tests {}",
        )
        self.assertEqual(found, [{"one.rs", "two.rs"}])

    def test_comments_and_strings_are_no_code(self):
        found = self.circles(
            lib="mod one; mod two;",
            one="use crate::two::Two;",
            two=r'''
            // crate::one::A
            /* crate::one::B /* nested */ crate::one::C */
            /// [`D`](crate::one::D)
            const E: &str = "\" crate::one::E";
            const F: &str = r#"" crate::one::F"#;
            const G: (char, char, &[u8]) = ('"', '\'', b"crate::one::G");
            fn h<'a>(text: &'a str) -> &'a str { text }
            ''',
        )
        self.assertEqual(found, [])

    def test_other_crates_and_local_names_are_no_imports(self):
        found = self.circles(
            lib="mod one; mod two;",
            one="use crate::two::Two;",
            two="use other::one::One; fn f() { other::one::g(); Self::one(); x.one::<u8>() }",
        )
        self.assertEqual(found, [])

    def test_the_message_names_the_lines(self):
        self.write(
            {
                "src/lib.rs": "mod one;\nmod two;",
                "src/one.rs": "//! One.\n\nuse crate::two::{\n    Other,\n    Two,\n};",
                "src/two.rs": "fn f() {\n    crate::one::g()\n}",
            }
        )
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = circles.main(self.root)
        self.assertEqual(code, 1)
        expected = [
            "crates/a: 2 files import each other in a circle",
            "  crates/a/src/one.rs:4 imports Other, Two of crates/a/src/two.rs",
            "  crates/a/src/two.rs:2 imports g of crates/a/src/one.rs",
        ]
        self.assertEqual(out.getvalue().splitlines(), expected)

    def test_every_package_is_checked_and_without_a_circle_all_is_well(self):
        circle = {"src/lib.rs": "mod one; fn f() { one::g() }", "src/one.rs": "pub fn g() { crate::f() }"}
        self.write({"src/lib.rs": "mod one; use one::g;", "src/one.rs": "pub fn g() {}"})
        self.assertEqual(circles.main(self.root), 0)
        for package in ("functions/b", "c"):
            self.write(circle, package)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                self.assertEqual(circles.main(self.root), 1)
            self.assertIn(f"{package}: 2 files", out.getvalue())


if __name__ == "__main__":
    unittest.main()
