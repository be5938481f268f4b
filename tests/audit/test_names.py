"""Names of C++ functions without what differs between compilers and instantiations."""

from __future__ import annotations

import pytest

from opscan.audit.names import qualified_name, qualified_names


@pytest.mark.parametrize(
    ("demangled", "expected"),
    [
        ("at::native::put_(at::Tensor&, at::Tensor const&, bool)", "at::native::put_"),
        (
            "void at::native::index_reduce<at::native::(anonymous namespace)::ReduceAdd>(long)",
            "at::native::index_reduce",
        ),
        ("at::native::(anonymous namespace)::median_impl(at::Tensor&)", "at::native::median_impl"),
        ("at::native::_GLOBAL__N__1a2b_4_Sort_cu_77::sort_kernel(int)", "at::native::sort_kernel"),
        ("at::native::f(int)::{lambda(int)#1}::operator()(int) const", "at::native::f"),
        ("a::f<(a::Kind)3, (1)>(std::enable_if<((8)>(4)), int>::type)", "a::f"),
        ("decltype(auto) a::f<3>(int)", "a::f"),
        ("std::vector<int, std::allocator<int> > a::make(int)", "a::make"),
        ("c10d::ProcessGroupNCCL::ProcessGroupNCCL(int)", "c10d::ProcessGroupNCCL::ProcessGroupNCCL"),
        ("THPModule_deterministicCuDNN", "THPModule_deterministicCuDNN"),
    ],
)
def test_what_stays_is_the_qualified_name(demangled: str, expected: str) -> None:
    assert qualified_name(demangled) == expected


def test_mangled_names_are_read_and_parts_of_a_split_function_join_it() -> None:
    mangled = "_ZN2at6native12_GLOBAL__N_14implEi"
    assert qualified_names([mangled, f"{mangled}.cold", "main"]) == {
        mangled: "at::native::impl",
        f"{mangled}.cold": "at::native::impl",
        "main": "main",
    }
