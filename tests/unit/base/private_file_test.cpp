#include "base/private_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/temporary_folder.hpp"

namespace cpns {
namespace {

class private_files : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const auto file = folder / name;
    std::ofstream(file, std::ios::binary) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  test::temporary_folder folder;
};

std::string refusal(const std::filesystem::path& file) {
  const auto got = read_private_file(file, 100);
  if (got) return "";
  EXPECT_TRUE(got.error().detail.starts_with(file.string() + ": ")) << got.error().detail;
  return got.error().detail.substr(file.string().size() + 2);
}

TEST_F(private_files, are_read_whole_up_to_the_bound) {
  EXPECT_EQ(read_private_file(write("a", std::string(100, 'x')), 100)->size(), 100U);
  EXPECT_EQ(read_private_file(write("b", std::string(101, 'x')), 100).error().code, errc::config_range);
  EXPECT_TRUE(read_private_file(write("c", ""), 100)->empty());
  EXPECT_TRUE(read_private_file(write("d", "x", 0400), 100));
}

TEST_F(private_files, are_refused_when_others_have_access_also_behind_a_link) {
  std::filesystem::create_symlink(folder / "real", folder / "link");
  for (const mode_t mode : {0644, 0604, 0660, 0620, 0610, 0601, 0602, 0444, 0446}) {
    write("real", "secret", mode);
    const auto refused = refusal(folder / "link");
    EXPECT_NE(refused.find("chmod 600"), std::string::npos) << mode << refused;
    EXPECT_EQ(refused.find("secret\n"), std::string::npos);
    EXPECT_TRUE(read_private_file(folder / "link", 100, readers::anybody)) << mode;
  }
}

TEST_F(private_files, may_be_readable_by_their_group_when_root_owns_them) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  std::filesystem::create_directory(folder / "..v1");
  std::filesystem::create_directory_symlink("..v1", folder / "..data");
  std::filesystem::create_symlink("..data/real", folder / "link");
  for (const mode_t mode : {0440, 0640}) {
    const auto real = write("..v1/real", "secret", mode);
    EXPECT_EQ(refusal(folder / "link"), "") << mode;
    ASSERT_EQ(::chown(real.c_str(), 12345, 0), 0);
    EXPECT_NE(refusal(folder / "link").find("chmod 600"), std::string::npos) << mode;
    ASSERT_EQ(::lchown((folder / "link").c_str(), 0, 0), 0);
    EXPECT_NE(refusal(folder / "link"), "") << "the owner of a link does not matter";
    std::filesystem::remove(real);
  }
}

TEST_F(private_files, are_refused_at_once_when_they_are_not_regular) {
  EXPECT_EQ(refusal(folder / "none"), "No such file or directory");
  EXPECT_EQ(refusal(folder.path()), "this is a folder, not a file");
  EXPECT_EQ(refusal("/dev/zero"), "not a regular file");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(refusal(folder / "pipe"), "not a regular file");
}

TEST_F(private_files, give_a_password_as_their_first_line) {
  const auto line = [&](const std::string& text) { return read_secret_line(write("p", text), 20); };
  EXPECT_EQ(line("correct horse\r\nmore\n").value(), secret_bytes::from_text("correct horse"));
  EXPECT_EQ(line(" spaces kept ").value(), secret_bytes::from_text(" spaces kept "));
  EXPECT_EQ(line("\xef\xbb\xbf"
                 "correct horse\n")
                .value(),
            secret_bytes::from_text("correct horse"))
      << "an editor's byte order mark is not a part of the password";
  EXPECT_EQ(line(std::string(20, 'x') + "\r\n")->size(), 20U);
  for (const auto& wrong : {std::string{}, std::string{"\nx\n"}, std::string{"\xef\xbb\xbf\n"},
                            std::string(21, 'x'), std::string(100'000, 'x')})
    EXPECT_EQ(line(wrong).error().code, errc::config_range) << wrong.size();
}

TEST_F(private_files, are_refused_with_a_hint_when_they_are_utf_16) {
  const std::string le("\xff\xfe"
                       "h\0o\0r\0s\0e\0\n\0",
                       14),
      be("\xfe\xff"
         "\0h\0o\0\n",
         8),
      bare("h\0o\0r\0s\0e\0\n\0", 12);
  for (const auto& text : {le, be, bare}) {
    const auto got = read_secret_line(write("p", text), 100);
    ASSERT_FALSE(got);
    EXPECT_NE(got.error().detail.find("UTF-16"), std::string::npos) << got.error().detail;
  }
}

TEST_F(private_files, may_be_pipes_for_a_command) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "correct horse\n", 14), 14);
  ::close(ends[1]);
  const auto name = "/dev/fd/" + std::to_string(ends[0]);
  EXPECT_EQ(read_secret_line(std::filesystem::path{name}, 100).error().code, errc::config_file);
  EXPECT_EQ(read_secret_line(std::filesystem::path{name}, 100, pipes::accept).value(),
            secret_bytes::from_text("correct horse"));
  ::close(ends[0]);
}

}  // namespace
}  // namespace cpns
