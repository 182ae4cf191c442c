#include "kernels/gather.h"

#include "kernels/copy_loops.h"
#include "kernels/rows.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr ptrdiff_t kFetchedBytes = 256;  // shorter slices are not worth it
constexpr ptrdiff_t kRowsAhead = 8;       // fetched, of those that are added
constexpr ptrdiff_t kIndexTile = 256;
constexpr ptrdiff_t kFetchedMost = 4096;  // of a longer slice, what the hardware does not foresee

// Calls f with the index as a typed pointer.
template <class F>
inline void with_index(const void* index, int bytes, F f) {
  if (bytes == 4)
    f(static_cast<const int32_t*>(index));
  else
    f(static_cast<const int64_t*>(index));
}

// Calls f with the number of bytes: as a constant where it is that of one element, or of a usual
// number of features.
template <ptrdiff_t... kSizes, class F>
inline void with_bytes(ptrdiff_t bytes, F f) {
  if (!((bytes == kSizes && (f([] { return size_t(kSizes); }), true)) || ...))
    f([bytes] { return size_t(bytes); });
}

void take(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const TakeArgs*>(args);
  with_index(a.index, a.index_bytes, [&](auto* index) {
    with_bytes<1, 4, 8, 32, 64, 128, 256>(a.slice_bytes, [&](auto bytes) {
      char* out = static_cast<char*>(a.out) + begin * a.slice_bytes;
      ptrdiff_t i = begin % a.index_count;
      const char* table =
          static_cast<const char*>(a.table) + begin / a.index_count * a.table_rows * a.slice_bytes;
      const auto slice = [&](ptrdiff_t i) {
        const ptrdiff_t row = index[i] < 0 ? ptrdiff_t(index[i]) + a.table_rows : index[i];
        return table + row * a.slice_bytes;
      };
      for (ptrdiff_t item = begin; item < end; ++item, out += a.slice_bytes) {
        // Rows in random order come from memory: the next one is on its way while this one is
        // copied.
        if (i + 1 < a.index_count && a.slice_bytes >= kFetchedBytes) {
          const char* next = slice(i + 1);
          const ptrdiff_t most = a.slice_bytes < kFetchedMost ? a.slice_bytes : kFetchedMost;
          for (ptrdiff_t at = 0; at < most; at += 64) __builtin_prefetch(next + at);
        }
        __builtin_memcpy(out, slice(i), bytes());
        if (++i == a.index_count) {
          i = 0;
          table += a.table_rows * a.slice_bytes;
        }
      }
    });
  });
}

template <class T>
void scatter_add(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ScatterAddArgs*>(args);
  constexpr ptrdiff_t kLine = 64 / ptrdiff_t(sizeof(T));
  const ptrdiff_t fetched = min(a.columns, kFetchedMost / ptrdiff_t(sizeof(T)) / kRowsAhead);
  T* out = static_cast<T*>(a.out);
  const T* x = static_cast<const T*>(a.x);
  if (!a.accumulate)
    __builtin_memset(out + begin * a.columns, 0, size_t((end - begin) * a.columns) * sizeof(T));
  with_index(a.index, a.index_bytes, [&](auto* index) {
    ptrdiff_t from[kIndexTile + kRowsAhead], to[kIndexTile + kRowsAhead];  // rows of x and of out
    for (ptrdiff_t i = 0; i < a.index_count;) {
      ptrdiff_t n = 0;
      for (const ptrdiff_t stop = min(i + kIndexTile, a.index_count); i < stop; ++i) {
        from[n] = i;  // no branch, which would be a coin toss
        to[n] = index[i] < 0 ? ptrdiff_t(index[i]) + a.out_rows : ptrdiff_t(index[i]);
        n += size_t(to[n] - begin) < size_t(end - begin);
      }
      for (ptrdiff_t k = n; k < n + kRowsAhead; ++k) from[k] = 0, to[k] = begin;
      for (ptrdiff_t k = 0; k < n; ++k) {
        for (ptrdiff_t c = 0; c < fetched; c += kLine) {
          __builtin_prefetch(out + to[k + kRowsAhead] * a.columns + c);
          __builtin_prefetch(x + from[k + kRowsAhead] * a.columns + c);
        }
        T* sum = out + to[k] * a.columns;
        const T* row = x + from[k] * a.columns;
        for_each_vector<T>(a.columns, [&](ptrdiff_t c, ptrdiff_t lanes) {
          store_up_to(sum + c, load_up_to(sum + c, lanes) + load_up_to(row + c, lanes), lanes);
        });
      }
    }
  });
}

void one_hot(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const OneHotArgs*>(args);
  const ptrdiff_t row_bytes = a.classes * a.element_bytes;
  char* out = static_cast<char*>(a.out) + begin * row_bytes;
  __builtin_memset(out, 0, size_t((end - begin) * row_bytes));
  with_index(a.index, a.index_bytes, [&](auto* index) {
    with_bytes<1, 4, 8>(a.element_bytes, [&](auto bytes) {
      for (ptrdiff_t i = begin; i < end; ++i, out += row_bytes)
        if (index[i] >= 0 && index[i] < a.classes)
          __builtin_memcpy(out + index[i] * a.element_bytes, a.one, bytes());
    });
  });
}

void concat(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ConcatArgs*>(args);
  for (ptrdiff_t row = begin; row < end; ++row) {
    auto* to = static_cast<uint8_t*>(a.out) + row * a.row_bytes;
    for (int k = 0; k < a.count; to += a.bytes[k++])
      copy_row(to, static_cast<const uint8_t*>(a.parts[k]) + row * a.bytes[k], a.bytes[k]);
  }
}

}  // namespace

extern constinit const GatherKernels gather_kernels = {
    take,
    {scatter_add<float>, scatter_add<double>, scatter_add<int32_t>, scatter_add<int64_t>},
    one_hot,
    concat};

}  // namespace pydl::PYDL_ISA
