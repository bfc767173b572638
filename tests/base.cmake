foreach(object buffer clock elf fault fds folder_lock io list log map memory process quantity start status surroundings text)
  covey_unit_test(base ${object})
endforeach()
covey_unit_test(base threads THREADS)
