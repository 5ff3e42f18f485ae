#include "storage/postgres/binary.hpp"

#include <charconv>
#include <string_view>

namespace cpns::storage::postgres {

namespace {

// Object identifiers of types, fixed in PostgreSQL's pg_type.dat.
constexpr std::uint32_t bytea_type = 17;
constexpr std::uint32_t int8_type = 20;

template <class Number>
void append(std::string& to, Number v) {
  for (int shift = static_cast<int>(sizeof v) * 8 - 8; shift >= 0; shift -= 8)
    to += static_cast<char>(v >> shift & 0xff);
}

/// One dimension, whose first index is 1.
std::string array_head(std::uint32_t type, std::size_t count) {
  std::string out;
  append<std::uint32_t>(out, count > 0 ? 1 : 0);
  append<std::uint32_t>(out, 0);
  append(out, type);
  if (count == 0) return out;
  append(out, static_cast<std::uint32_t>(count));
  append<std::uint32_t>(out, 1);
  return out;
}

}  // namespace

std::string int8_parameter(std::uint64_t v) {
  std::string out;
  append(out, v);
  return out;
}

std::string bytea_parameter(byte_view b) { return std::string(as_text(b)); }

std::string bytea_array(std::span<const byte_view> elements) {
  auto out = array_head(bytea_type, elements.size());
  std::size_t size = out.size();
  for (const auto& e : elements) size += 4 + e.size();
  out.reserve(size);
  for (const auto& e : elements) {
    append(out, static_cast<std::uint32_t>(e.size()));
    out += as_text(e);
  }
  return out;
}

std::string int8_array(std::span<const std::uint64_t> elements) {
  auto out = array_head(int8_type, elements.size());
  for (const auto e : elements) {
    append<std::uint32_t>(out, 8);
    append(out, e);
  }
  return out;
}

byte_view bytes_at(const reply& r, int row, int column) {
  return {reinterpret_cast<const std::uint8_t*>(PQgetvalue(r.get(), row, column)),
          static_cast<std::size_t>(PQgetlength(r.get(), row, column))};
}

std::uint64_t int_at(const reply& r, int row, int column) {
  std::uint64_t out = 0;
  for (const auto b : bytes_at(r, row, column)) out = out << 8 | b;
  return out;
}

std::size_t affected(const reply& r) {
  const std::string_view text = PQcmdTuples(r.get());
  std::size_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace cpns::storage::postgres
