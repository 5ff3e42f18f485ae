// Memory of a secret is wiped before it is freed: every freed block is searched.

#include <array>
#include <fstream>
#include <gtest/gtest.h>

#include "base/cbor.hpp"
#include "base/private_file.hpp"
#include "tests/support/freed_memory.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns {
namespace {

using test::canary_size;
using test::left_by;
using test::wanted;

class freed_memory : public testing::Test {
 protected:
  freed_memory() {
    for (std::size_t i = 0; i < canary_size; ++i) wanted[i] = static_cast<char>(0xa1 + 3 * i);
  }
  [[nodiscard]] byte_view secret() const { return as_bytes({wanted.data(), canary_size}); }
};

TEST_F(freed_memory, is_searched_by_this_test) {
  EXPECT_EQ(left_by([&] { const bytes careless = to_bytes(secret()); }), 1);
  EXPECT_EQ(left_by([&] { const secret_bytes careful{secret()}; }), 0);
}

TEST_F(freed_memory, holds_nothing_of_a_cbor_writer_that_grew) {
  for (std::size_t before = 0; before < 300; ++before)
    for (std::size_t after : {std::size_t{0}, std::size_t{1}, std::size_t{40}, std::size_t{400}}) {
      EXPECT_EQ(left_by([&] {
                  cbor::writer w;
                  w.array(4).tstr(std::string(before, 'x')).bstr(secret());
                  w.bstr(bytes(after, 1)).uint(1'700'000'000'000'000'000);
                  const secret_bytes done{w.take()};
                }),
                0)
          << before << " bytes before the secret, " << after << " after it";
    }
}

TEST_F(freed_memory, holds_nothing_of_a_cbor_writer_whose_bytes_were_not_taken) {
  EXPECT_EQ(left_by([&] { cbor::writer{}.bstr(secret()); }), 0);
}

TEST_F(freed_memory, holds_nothing_of_a_file_after_it_was_read) {
  const test::temporary_folder dir;
  std::ofstream(dir / "password", std::ios::binary).write(wanted.data(), canary_size).write("\n", 1);
  std::filesystem::permissions(dir / "password", std::filesystem::perms::owner_read);
  const auto read = [](std::istream& in) {
    std::array<char, 256> line{};
    in.getline(line.data(), line.size());
    wipe(line.data(), line.size());
  };
  EXPECT_EQ(left_by([&] {
              std::ifstream in(dir / "password", std::ios::binary);
              read(in);
            }),
            1)
      << "an ordinary stream must leave its buffer, or this test detects nothing";
  EXPECT_EQ(left_by([&] {
              const auto password = read_secret_line(dir / "password", 256);
              ASSERT_TRUE(password) << password.error().message();
            }),
            0);
}

}  // namespace
}  // namespace cpns
