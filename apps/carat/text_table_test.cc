#include "text_table.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(TextTableTest, AlignsCharactersAndNotBytes) {
  EXPECT_EQ(table_text({{"model", "RMS Δp", "x"}, {"a", "1 ± 2", "1"}, {"  prose", "12345678"}}),
            "model      RMS Δp  x\n"
            "a           1 ± 2  1\n"
            "  prose  12345678\n");
}

}  // namespace
}  // namespace carat
