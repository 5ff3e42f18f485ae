#include "base/temporary_folder.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace cpns {
namespace {

namespace fs = std::filesystem;

TEST(temporary_folder, is_private_and_removed_with_its_content) {
  std::string path;
  {
    const auto made = temporary_folder::make("cpns-unit");
    ASSERT_TRUE(made) << made.error().message();
    path = made->path();
    EXPECT_EQ(fs::path{path}.filename().string().find("cpns-unit-"), 0u);
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
    fs::create_directory(path + "/in");
    std::ofstream{path + "/in/it"} << "something";
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(temporary_folder, survives_a_move) {
  std::optional<temporary_folder> kept;
  {
    auto made = temporary_folder::make("cpns-unit");
    ASSERT_TRUE(made);
    kept.emplace(std::move(*made));
  }
  const auto path = kept->path();
  EXPECT_TRUE(fs::is_directory(path));
  kept.reset();
  EXPECT_FALSE(fs::exists(path));
}

TEST(temporary_folder, names_tmpdir_when_it_cannot_be_created) {
  const auto outer = temporary_folder::make("cpns-unit");
  ASSERT_TRUE(outer);
  const char* before = ::getenv("TMPDIR");
  const std::optional<std::string> kept =
      before != nullptr ? std::optional<std::string>{before} : std::nullopt;
  ::setenv("TMPDIR", (outer->path() + "/none").c_str(), 1);
  const auto made = temporary_folder::make("cpns-unit");
  if (kept)
    ::setenv("TMPDIR", kept->c_str(), 1);
  else
    ::unsetenv("TMPDIR");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, errc::config_file);
  EXPECT_NE(made.error().detail.find("TMPDIR"), std::string::npos) << made.error().detail;
}

}  // namespace
}  // namespace cpns
