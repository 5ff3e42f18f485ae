// Files of keys for programs: two writers of one file, what a failure leaves, and leftovers.
#include "cli/keys/key_place.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "temp_folder.hpp"

namespace cpns::cli::keys {
namespace {

namespace fs = std::filesystem;

/// Root may do anything, so the test is nobody for a while.
class as_nobody {
 public:
  as_nobody() { become(65534); }
  ~as_nobody() { become(0); }
  as_nobody(const as_nobody&) = delete;
  as_nobody& operator=(const as_nobody&) = delete;

 private:
  void become(uid_t user) const {
    if (root_) {
      EXPECT_EQ(::seteuid(user), 0);
    }
  }
  const bool root_ = ::geteuid() == 0;
};

status written_by_nobody(const key_file& file, std::string_view content) {
  const as_nobody now;
  return file.write(as_bytes(content));
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
  for (const auto* name : {"psk.new-1", "psk.new-22", "psk.new", "psk2.new-1", "other"}) {
    write(name, "x");
    fs::last_write_time(folder / name, fs::file_time_type::clock::now() - hours{1});
  }
  write("psk.new-3", "in work");
  ASSERT_TRUE(file.write(as_bytes(std::string_view{"keys"})));
  EXPECT_EQ(names(), (std::vector<std::string>{"other", "psk", "psk.new", "psk.new-3", "psk2.new-1"}));
}

TEST_F(a_key_file, says_what_it_has_after_a_failure) {
  fs::create_directory(folder / "in");
  // Nobody may list the folder, so it cannot be opened to be synced.
  ASSERT_EQ(::chmod(folder.c_str(), 0711) | ::chmod((folder / "in").c_str(), 0333), 0);
  const auto file = key_file::at((folder / "in/psk").string(), render_mode).value();
  const auto synced_not = written_by_nobody(file, "new");
  ASSERT_FALSE(synced_not);
  EXPECT_THAT(synced_not.error().detail,
              testing::HasSubstr("in/psk has the new keys, but after a power cut"));
  EXPECT_EQ(read(folder / "in/psk"), "new");

  ASSERT_EQ(::chmod((folder / "in").c_str(), 0555), 0);
  const auto not_written = written_by_nobody(file, "newer");
  ASSERT_FALSE(not_written);
  EXPECT_THAT(not_written.error().detail, testing::HasSubstr("in/psk is as it was"));
  EXPECT_EQ(read(folder / "in/psk"), "new");
}

}  // namespace
}  // namespace cpns::cli::keys
