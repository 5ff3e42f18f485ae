#include "tests/vectors/vector_file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace cpns::vectors {

std::string test_case::text(std::string_view key) const { return std::string{o_.at(key).as_string()}; }

std::uint64_t test_case::number(std::string_view key) const { return o_.at(key).to_number<std::uint64_t>(); }

bytes test_case::hex(std::string_view key) const {
  auto b = from_hex(text(key));
  if (!b) throw std::runtime_error(std::string{key} + " is not hexadecimal");
  return *b;
}

std::size_t for_each_case(const std::string& file, std::string_view type,
                          const std::function<void(const test_case&)>& check) {
  std::ifstream in(std::string{CPNS_VECTORS} + "/" + file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  const auto document = boost::json::parse(content);
  std::size_t count = 0;
  for (const auto& group : document.as_object().at("testGroups").as_array()) {
    if (group.as_object().at("type").as_string() != type) continue;
    for (const auto& item : group.as_object().at("tests").as_array()) {
      const test_case t{item.as_object()};
      SCOPED_TRACE(file + " tcId " + std::to_string(t.number("tcId")) + ": " + t.text("comment"));
      check(t);
      ++count;
    }
  }
  return count;
}

}  // namespace cpns::vectors
