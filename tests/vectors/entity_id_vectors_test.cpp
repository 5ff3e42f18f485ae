// The grammar of Entity IDs against entity_id.json.

#include <gtest/gtest.h>

#include "tests/vectors/vector_file.hpp"

namespace cpns::vectors {
namespace {

TEST(entity_id_vectors, agree_with_the_parser) {
  EXPECT_GT(for_each_case("entity_id.json", "EntityId",
                          [](const test_case& t) {
                            const auto id = entity_id::parse(t.text("text"));
                            EXPECT_EQ(id.has_value(), t.valid());
                            if (id) {
                              EXPECT_EQ(id->text(), t.text("text"));
                            } else {
                              EXPECT_EQ(id.error().code, errc::wire_grammar);
                            }
                          }),
            50u);
}

}  // namespace
}  // namespace cpns::vectors
