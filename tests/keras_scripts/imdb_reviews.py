# Film reviews as scripts for Keras 2 have it: own vectors, lr, functions as losses and metrics.
import numpy as np
from keras import backend as K
from keras import layers, losses, metrics, models, optimizers, regularizers
from keras.datasets import imdb

top_words = 10000
(train_data, train_labels), (test_data, test_labels) = imdb.load_data(num_words=top_words)
word_index = imdb.get_word_index()
reverse = dict((value, key) for (key, value) in word_index.items())
print(' '.join(reverse.get(i - 3, '?') for i in train_data[0])[:60])


def vectorize(reviews):
    result = np.zeros((len(reviews), top_words), dtype='float32')
    for i, review in enumerate(reviews):
        result[i, review] = 1.
    return result


x_train, x_test = vectorize(train_data), vectorize(test_data)
y_train = np.asarray(train_labels).astype('float32')
y_test = np.asarray(test_labels).astype('float32')
x_val, y_val = x_train[:10000], y_train[:10000]
partial_x_train, partial_y_train = x_train[10000:], y_train[10000:]

model = models.Sequential()
model.add(layers.Dense(16, activation='relu', input_shape=(top_words,)))
model.add(layers.Dense(16, activation='relu'))
model.add(layers.Dense(1, activation='sigmoid'))
model.compile(
    optimizer=optimizers.RMSprop(lr=0.001),
    loss=losses.binary_crossentropy,
    metrics=[metrics.binary_accuracy],
)
history = model.fit(
    partial_x_train,
    partial_y_train,
    epochs=20,
    batch_size=512,
    validation_data=(x_val, y_val),
    verbose=2,
)
history_dict = history.history
assert sorted(history_dict.keys()) == ['binary_accuracy', 'loss', 'val_binary_accuracy', 'val_loss']
print('best validation accuracy:', max(history_dict['val_binary_accuracy']))

K.clear_session()
model = models.Sequential()
model.add(
    layers.Dense(
        16,
        kernel_regularizer=regularizers.l2(0.001),
        activation='relu',
        input_dim=top_words,
    )
)
model.add(layers.Dropout(0.5))
model.add(layers.Dense(16, kernel_regularizer=regularizers.l2(0.001), activation='relu'))
model.add(layers.Dropout(0.5))
model.add(layers.Dense(1, activation='sigmoid'))
model.compile(optimizer='rmsprop', loss='binary_crossentropy', metrics=['acc'])
history = model.fit(x_train, y_train, epochs=4, batch_size=512, verbose=0)
assert len(history.history['acc']) == len(history.history['loss'])
results = model.evaluate(x_test, y_test, verbose=0)
print('probability of the first:', model.predict(x_test)[0])
print('test accuracy:', results[1])
