// Files of keys for programs: two writers of one file, what a failure leaves, and leftovers.
#include "cli/keys/key_place.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "base/descriptor.hpp"
#include "temp_folder.hpp"

namespace cpns::cli::keys {
namespace {

namespace fs = std::filesystem;

/// The error of a write, in a child process that is nobody: root may do anything. Empty: there was none.
std::string error_of_nobody(const key_file& file, std::string_view content) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const descriptor reads{ends[0]};
  descriptor writes{ends[1]};
  const auto child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) ::_exit(1);
    const auto done = file.write(as_bytes(content));
    const auto text = done ? std::string{} : done.error().detail;
    ::_exit(::write(writes.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  writes.close();
  std::string out(4096, '\0');
  const auto size = ::read(reads.get(), out.data(), out.size());
  out.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  int how = 0;
  EXPECT_EQ(::waitpid(child, &how, 0), child);
  EXPECT_EQ(how, 0);
  return out;
}

class a_key_file : public test::temp_folder {
 protected:
  [[nodiscard]] key_file made() const { return key_file::at((folder / "psk").string(), render_mode).value(); }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& f : fs::directory_iterator{folder}) out.push_back(f.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
};

TEST_F(a_key_file, has_two_writers_at_the_same_time) {
  std::atomic<int> failed = 0, torn = 0;
  std::atomic<bool> over = false;
  const std::string one(4096, 'a'), other(4096, 'b');
  std::vector<std::thread> all;
  for (const auto* content : {&one, &other})
    all.emplace_back([&, content] {
      const auto file = made();
      for (int n = 0; n < 300; ++n)
        if (!file.write(as_bytes(*content))) ++failed;
    });
  std::thread reader{[&] {
    while (!over) {
      const auto now = read(folder / "psk");
      if (!now.empty() && now != one && now != other) ++torn;
    }
  }};
  for (auto& t : all) t.join();
  over = true;
  reader.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(names(), std::vector<std::string>{"psk"});
}

TEST_F(a_key_file, loses_its_old_leftovers_alone) {
  using std::chrono::hours;
  const auto file = made();
  for (const auto* name : {".psk.cpns-00112233445566ff", ".psk.cpns-0011223344556677", ".psk.cpns-2026",
                           ".psk.cpns-00112233445566FF", ".psk2.cpns-0011223344556677", "psk.new-2026"}) {
    write(name, "x");
    fs::last_write_time(folder / name, fs::file_time_type::clock::now() - hours{1});
  }
  write(".psk.cpns-8899aabbccddeeff", "in work");
  ASSERT_TRUE(file.write(as_bytes(std::string_view{"keys"})));
  EXPECT_EQ(names(), (std::vector<std::string>{".psk.cpns-00112233445566FF", ".psk.cpns-2026",
                                               ".psk.cpns-8899aabbccddeeff", ".psk2.cpns-0011223344556677",
                                               "psk", "psk.new-2026"}));
}

TEST_F(a_key_file, says_what_it_has_after_a_failure) {
  fs::create_directory(folder / "in");
  // Nobody may list the folder, so it cannot be opened to be synced.
  ASSERT_EQ(::chmod(folder.c_str(), 0711) | ::chmod((folder / "in").c_str(), 0333), 0);
  const auto file = key_file::at((folder / "in/psk").string(), render_mode).value();
  EXPECT_THAT(error_of_nobody(file, "new"),
              testing::HasSubstr("in/psk has the new keys, but after a power cut"));
  EXPECT_EQ(read(folder / "in/psk"), "new");

  ASSERT_EQ(::chmod((folder / "in").c_str(), 0555), 0);
  EXPECT_THAT(error_of_nobody(file, "newer"), testing::HasSubstr("in/psk is as it was"));
  EXPECT_EQ(read(folder / "in/psk"), "new");
}

}  // namespace
}  // namespace cpns::cli::keys
