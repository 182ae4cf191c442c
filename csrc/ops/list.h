// List<Ops...>: the ops of one kind, as a type; the kernels and tables are made by walking it.
#pragma once

namespace pydl::PYDL_ISA {
namespace {

template <class... Ops>
struct List {
  static constexpr int kCount = sizeof...(Ops);
};

}  // namespace
}  // namespace pydl::PYDL_ISA
